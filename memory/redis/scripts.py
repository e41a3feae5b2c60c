"""Every change of a Redis library is one script: whole for all readers, and in the commit log.

Keys of a library NAME, all on one slot of a cluster (the hash tag):
    footage:{NAME}:library        hash: schema, version
    footage:{NAME}:log            stream: a change each, id VERSION-0: recording r, its segments f (INDEX GENERATION), or x: it is gone
    footage:{NAME}:recordings     hash: recording -> JSON
    footage:{NAME}:generations    hash: generation -> SEGMENTS EMBED_DIM ENCODER
    footage:{NAME}:rows:R         hash: INDEX GENERATION -> CHUNKS PAYLOAD JSON, of the recording R
    footage:{NAME}:payload:P:I    string: chunk I of payload P; expires unless a row names P
    footage:{NAME}:notes          hash: name -> JSON

A version is the time of its change in milliseconds, or the last version and one: it grows also over a restart that lost
the newest changes, and a version that was lost never comes again.
"""

SCHEMA = 1
CHUNK_BYTES = 65_450  # just under a power of two: one byte more than 64 KiB would take a quarter more memory

_COMMON = """
local function later()
    local now, last = redis.call('TIME'), tonumber(redis.call('HGET', KEYS[1], 'version'))
    return string.format('%.0f', math.max(last + 1, now[1] * 1000 + math.floor(now[2] / 1000)))
end
local function told(length, recording, fields, is_gone)
    local version, entry = later(), {'r', recording}
    if is_gone then entry[3] = 'x'; entry[4] = '' end
    for _, field in ipairs(fields) do entry[#entry + 1] = 'f'; entry[#entry + 1] = field end
    redis.call('HSET', KEYS[1], 'version', version)
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', length, version .. '-0', unpack(entry))
    return version
end
local function chunks(prefix, row)
    local count, payload = string.match(row, '^(%d+) (%S+) ')
    local names = {}
    for i = 1, tonumber(count) do names[i] = prefix .. payload .. ':' .. (i - 1) end
    return names
end
local function has_lost(last)
    return last ~= '' and #redis.call('XRANGE', KEYS[2], last .. '-0', last .. '-0') == 0
        and #redis.call('XRANGE', KEYS[2], '-', '(' .. last .. '-0', 'COUNT', 1) > 0  -- else it was only trimmed
end
local function expire(prefix, row, grace_ms)
    for _, name in ipairs(chunks(prefix, row)) do redis.call('PEXPIRE', name, grace_ms) end
end
"""

OPEN = """
if redis.call('HEXISTS', KEYS[1], 'schema') == 0 then
    local now = redis.call('TIME')
    local version = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000))
    redis.call('HSET', KEYS[1], 'schema', ARGV[1], 'version', version)
    redis.call('DEL', KEYS[2])
    redis.call('XADD', KEYS[2], version .. '-0', 'r', '')
end
return redis.call('HGET', KEYS[1], 'schema')
"""
"""A library that is not there is made. KEYS library, log; ARGV schema; the schema that is there."""

ADD = (
    _COMMON
    + """
local schema, length, last, recording, before, after = unpack(ARGV)
if redis.call('HGET', KEYS[1], 'schema') ~= schema then return {'schema'} end
if has_lost(last) then return {'lost'} end
if (redis.call('HGET', KEYS[3], recording) or '') ~= before then return {'again'} end
redis.call('HSET', KEYS[3], recording, after)
return {'done', told(length, recording, {})}
"""
)
"""A recording's facts, unless somebody else changed them meanwhile. KEYS library, log, recordings."""

CHANGE = (
    _COMMON
    + """
local schema, length, last, grace_ms, prefix, mode, recording, generation, encoder, width, gone = unpack(ARGV, 1, 11)
local leave, come, changed = {}, {}, {}
for i = 12, 11 + gone do leave[#leave + 1] = ARGV[i] end
for i = 12 + gone, #ARGV, 2 do come[#come + 1] = {ARGV[i], ARGV[i + 1]} end
local function kept(index) return redis.call('HGET', KEYS[4], index .. ' ' .. generation) end

if redis.call('HGET', KEYS[1], 'schema') ~= schema then return {'schema'} end
if has_lost(last) then return {'lost'} end
if #come > 0 and redis.call('HEXISTS', KEYS[3], recording) == 0 then return {'unknown'} end
local count, wide = 0, width
local known = redis.call('HGET', KEYS[5], generation)
if known then
    local its_count, its_width, its_encoder = string.match(known, '^(%d+) (%d+) (.*)$')
    if #come > 0 and its_encoder ~= encoder then return {'encoder', its_encoder} end
    if #come > 0 and its_width ~= '0' and width ~= '0' and its_width ~= width then return {'width', its_width} end
    count, encoder = tonumber(its_count), its_encoder
    if its_width ~= '0' then wide = its_width end
end
local is_done = #come > 0
for _, each in ipairs(come) do is_done = is_done and kept(each[1]) == each[2] end
if is_done then return {'done'} end
for _, each in ipairs(come) do
    if mode == 'commit' and kept(each[1]) then return {'there'} end
    if mode == 'rewrite' and not kept(each[1]) then return {'absent', each[1]} end
    for _, name in ipairs(chunks(prefix, each[2])) do
        if redis.call('EXISTS', name) == 0 then return {'payload'} end
    end
end
for _, index in ipairs(leave) do
    if mode == 'replace' and not kept(index) then return {'absent', index} end
end

for _, index in ipairs(leave) do
    local row = kept(index)
    if row then
        redis.call('HDEL', KEYS[4], index .. ' ' .. generation)
        expire(prefix, row, grace_ms)
        count = count - 1
        changed[#changed + 1] = index .. ' ' .. generation
    end
end
for _, each in ipairs(come) do
    local row = kept(each[1])
    if row then expire(prefix, row, grace_ms) else count = count + 1 end
    redis.call('HSET', KEYS[4], each[1] .. ' ' .. generation, each[2])
    for _, name in ipairs(chunks(prefix, each[2])) do redis.call('PERSIST', name) end
    changed[#changed + 1] = each[1] .. ' ' .. generation
end
if #changed == 0 then return {'done'} end
if count > 0 then
    redis.call('HSET', KEYS[5], generation, string.format('%d %s %s', count, wide, encoder))
else
    redis.call('HDEL', KEYS[5], generation)
end
return {'done', told(length, recording, changed)}
"""
)
"""Segments come, are rewritten or leave, with the payloads of those that come in place before; nothing where they are there already.

KEYS library, log, recordings, rows of the recording, generations; ARGV as unpacked, then the indices that leave, then index and row of each
that comes. What it says: "done" and the version where anything changed, "there", or what was found wrong; "lost": the writer's last change.
"""

FORGET = (
    _COMMON
    + """
local schema, length, last, grace_ms, prefix, recording = unpack(ARGV)
if redis.call('HGET', KEYS[1], 'schema') ~= schema then return {'schema'} end
if has_lost(last) then return {'lost'} end
if redis.call('HDEL', KEYS[3], recording) == 0 then return {'done'} end
local rows, left = redis.call('HGETALL', KEYS[4]), {}
redis.call('UNLINK', KEYS[4])
for i = 1, #rows, 2 do
    local generation = string.match(rows[i], '^%d+ (.*)$')
    left[generation] = (left[generation] or 0) + 1
    expire(prefix, rows[i + 1], grace_ms)
end
for generation, fewer in pairs(left) do
    local count, rest = string.match(redis.call('HGET', KEYS[5], generation), '^(%d+) (.*)$')
    if count - fewer > 0 then
        redis.call('HSET', KEYS[5], generation, string.format('%d %s', count - fewer, rest))
    else
        redis.call('HDEL', KEYS[5], generation)
    end
end
return {'done', told(length, recording, {}, true)}
"""
)
"""A recording and all its segments leave. KEYS as for CHANGE."""

CHANGES = """
local since, limit, rows_prefix = unpack(ARGV)
local version = redis.call('HGET', KEYS[1], 'version')
if not version then return {'gone'} end
if #redis.call('XRANGE', KEYS[2], since .. '-0', since .. '-0') == 0 then return {'behind', version} end
local entries = redis.call('XRANGE', KEYS[2], '(' .. since .. '-0', '+', 'COUNT', limit)
if #entries == 0 then return {'all', since} end
local gone, recordings, rows, seen = {}, {}, {}, {}
for _, entry in ipairs(entries) do
    local recording = entry[2][2]
    if not seen[recording] then
        seen[recording] = {}
        recordings[#recordings + 1] = recording
        recordings[#recordings + 1] = redis.call('HGET', KEYS[3], recording)
    end
    if entry[2][3] == 'x' then gone[#gone + 1] = recording end
    for i = 4, #entry[2], 2 do
        local field = entry[2][i]
        if entry[2][3] == 'f' and not seen[recording][field] then
            seen[recording][field] = true
            rows[#rows + 1] = recording
            rows[#rows + 1] = field
            rows[#rows + 1] = redis.call('HGET', rows_prefix .. recording, field)
        end
    end
end
local last = string.match(entries[#entries][1], '^(%d+)')
return {last == version and 'all' or 'part', last, gone, recordings, rows}
"""
"""What changed after a version, as it is now. KEYS library, log, recordings.

"all": up to the last of it; "part": there is more, and until that is read too nothing is consistent; "behind": the log does not reach back
so far, or the changes up to there were lost in a crash; "gone": there is no library. Then: the version read up to, recordings that
went (and may have come again since), recording and JSON of each that changed, and recording, segment and row of each segment.
"""
