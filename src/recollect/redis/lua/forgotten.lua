-- What was forgotten of a tenant.
-- KEYS: the tenant's hash. ARGV: now, or '' for the time here.
-- Returns "number instant what" of each of the last times, separated by ';', and now.
local epoch, forgotten = unpack(call('HMGET', KEYS[1], 'e', 'g'))
local now = ARGV[1]
if now == '' then
  local time = call('TIME')
  now = whole(time[1] * 1000000 + time[2])
end
return table.concat(add(opening(OK, epoch), {forgotten or '', now}))
