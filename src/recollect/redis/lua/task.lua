-- Edits of the task. One that was dropped leaves behind when that was.

local task = part(root, 't')
local FIELDS = {'j', 's', 'c', 'p', 'u'}

-- The fields of the task, and whether it was written after an edit that arrives late.
local function current()
  local written = tonumber(call('HGET', task, 'w'))
  return call('HMGET', task, unpack(FIELDS)), late and written ~= nil and written > at
end
