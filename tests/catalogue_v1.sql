-- A catalogue as schema version 1 wrote it, with one recording, one segment and two text rows. Never edit.
CREATE TABLE library (version INTEGER NOT NULL);
INSERT INTO library VALUES (7);
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
CREATE VIRTUAL TABLE words USING fts5(
    text, content='wordings', content_rowid='wording_id', tokenize='porter unicode61 remove_diacritics 2');
CREATE TRIGGER words_come AFTER INSERT ON wordings
    BEGIN INSERT INTO words (rowid, text) VALUES (new.wording_id, new.text); END;
CREATE TRIGGER words_go AFTER DELETE ON wordings
    BEGIN INSERT INTO words (words, rowid, text) VALUES ('delete', old.wording_id, old.text); END;

INSERT INTO recordings VALUES ('door', '{"recording_id": "door", "duration_s": 60.0, "width_px": 320, "height_px": 240}');
INSERT INTO names VALUES ('door', 'door.mp4');
INSERT INTO generations VALUES ('g@1', 'e@1', 8);
INSERT INTO segments VALUES (1, 'door', 'g@1', 0, 0.0, 10.0, 'segments/door/g@1/000000-0123456789ab.safetensors', 100,
    1, 1, 10, 4, '{"decode": 0.5}');
INSERT INTO gaps VALUES (1, 4.0, 5.0, 'damaged');
INSERT INTO wordings VALUES (1, 'EMERGENCYEXIT', 'emergencyexit'), (2, 'Café', 'café');
INSERT INTO texts VALUES (1, 1, 'door', 1.0, 2.0, 'ocr', 1, 0.5, '[0.1, 0.2, 0.3, 0.4]', NULL, NULL, ''),
    (2, 1, 'door', 3.0, 4.0, 'ocr', 2, 1.0, NULL, NULL, NULL, '');
PRAGMA user_version = 1;
