"""The catalogue's tables as numbered migrations: append only, a released one is never edited."""

V1_TABLES = """
CREATE TABLE library (version INTEGER NOT NULL);  -- one row; grows with every change
INSERT INTO library VALUES (0);
CREATE TABLE recordings (recording_id TEXT PRIMARY KEY, facts TEXT NOT NULL);
CREATE TABLE names (
    recording_id TEXT NOT NULL REFERENCES recordings ON DELETE CASCADE, name TEXT NOT NULL,
    UNIQUE (recording_id, name));
CREATE TABLE locations (
    recording_id TEXT NOT NULL REFERENCES recordings ON DELETE CASCADE, location TEXT NOT NULL, seen INTEGER NOT NULL,
    UNIQUE (recording_id, location));
CREATE TABLE generations (generation TEXT PRIMARY KEY, encoder_id TEXT NOT NULL, embed_dim INTEGER NOT NULL);
CREATE TABLE segments (
    segment_id INTEGER PRIMARY KEY,
    recording_id TEXT NOT NULL REFERENCES recordings ON DELETE CASCADE,
    generation TEXT NOT NULL REFERENCES generations,
    idx INTEGER NOT NULL, start_s REAL NOT NULL, end_s REAL NOT NULL,
    file TEXT NOT NULL UNIQUE, size_bytes INTEGER NOT NULL,
    carriers INTEGER NOT NULL, tokens INTEGER NOT NULL,
    frames_seen INTEGER NOT NULL, frames_kept INTEGER NOT NULL, seconds TEXT NOT NULL,
    UNIQUE (recording_id, generation, idx));
CREATE TABLE gaps (
    segment_id INTEGER NOT NULL REFERENCES segments ON DELETE CASCADE,
    start_s REAL NOT NULL, end_s REAL NOT NULL, reason TEXT NOT NULL);
CREATE INDEX gaps_by_segment ON gaps (segment_id);
-- A wording is kept once, however often it is seen: a logo on screen for a day must not drown the word statistics.
CREATE TABLE wordings (wording_id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE, squeezed TEXT NOT NULL);
CREATE INDEX wordings_by_squeezed ON wordings (squeezed);
CREATE TABLE texts (
    text_id INTEGER PRIMARY KEY,
    segment_id INTEGER NOT NULL REFERENCES segments ON DELETE CASCADE,
    recording_id TEXT NOT NULL, start_s REAL NOT NULL, end_s REAL NOT NULL, kind TEXT NOT NULL,
    wording_id INTEGER NOT NULL REFERENCES wordings,
    score REAL NOT NULL, box TEXT, ink TEXT, ground TEXT, track TEXT NOT NULL);
CREATE INDEX texts_by_segment ON texts (segment_id);
CREATE INDEX texts_by_time ON texts (recording_id, start_s);
CREATE INDEX texts_by_wording ON texts (wording_id);
CREATE TRIGGER texts_gone AFTER DELETE ON texts
    WHEN NOT EXISTS (SELECT 1 FROM texts WHERE wording_id = old.wording_id)
    BEGIN DELETE FROM wordings WHERE wording_id = old.wording_id; END;
"""
V1_WORDS = """
CREATE VIRTUAL TABLE words USING fts5(
    text, content='wordings', content_rowid='wording_id', tokenize='porter unicode61 remove_diacritics 2');
CREATE TRIGGER words_come AFTER INSERT ON wordings
    BEGIN INSERT INTO words (rowid, text) VALUES (new.wording_id, new.text); END;
CREATE TRIGGER words_go AFTER DELETE ON wordings
    BEGIN INSERT INTO words (words, rowid, text) VALUES ('delete', old.wording_id, old.text); END;
"""
# Parts of words: trigrams over text without spaces, accents and punctuation (FTS5's own remove_diacritics for
# trigrams needs SQLite 3.45). fold() is text_search.fold, registered on the connection.
V2_PARTS = """
ALTER TABLE wordings ADD COLUMN folded TEXT NOT NULL DEFAULT '';
UPDATE wordings SET folded = fold(text);
CREATE VIRTUAL TABLE parts USING fts5(
    folded, content='wordings', content_rowid='wording_id', tokenize='trigram');
INSERT INTO parts (rowid, folded) SELECT wording_id, folded FROM wordings;
CREATE TRIGGER parts_come AFTER INSERT ON wordings
    BEGIN INSERT INTO parts (rowid, folded) VALUES (new.wording_id, new.folded); END;
CREATE TRIGGER parts_go AFTER DELETE ON wordings
    BEGIN INSERT INTO parts (parts, rowid, folded) VALUES ('delete', old.wording_id, old.folded); END;
"""
# What retention has made of a segment, see SegmentMemory.
V3_AGES = """
ALTER TABLE segments ADD COLUMN level INTEGER NOT NULL DEFAULT 0;
ALTER TABLE segments ADD COLUMN novelty REAL NOT NULL DEFAULT 0;
ALTER TABLE segments ADD COLUMN forgotten TEXT NOT NULL DEFAULT '{}';
CREATE INDEX segments_aged ON segments (recording_id, generation, end_s) WHERE level > 0;
CREATE INDEX segments_by_time ON segments (recording_id, generation, start_s, end_s, idx);  -- 600,000 are a year of one camera
"""
# What no segment's file tells is there twice, in the table and in an index of it, so that damage is seen and the other one read.
V3_TWICE = """
CREATE INDEX recordings_twice ON recordings (recording_id, facts);
CREATE INDEX locations_twice ON locations (recording_id, location, seen);
CREATE INDEX generations_twice ON generations (generation, encoder_id, embed_dim);
"""

MIGRATIONS: tuple[str, ...] = (V1_TABLES + V1_WORDS, V2_PARTS, V3_AGES + V3_TWICE)
"""MIGRATIONS[n - 1] brings a catalogue from version n - 1 to version n."""
