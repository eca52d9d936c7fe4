-- Edits of checkpoints.

local index = part(root, 'c')

-- Read a bit of all that is copied: a key of a wrong type is noticed.
local function read_all(name_of)
  call('HLEN', name_of('b'))
  call('HLEN', name_of('v'))
  call('HLEN', name_of('t'))
  call('LLEN', name_of('n'))
end

local function own(name)
  return part(root, name)
end

local function drop_copy(number, id)
  for _, name in ipairs(COPIED) do
    call('DEL', copy(root, number, name))
  end
  call('HDEL', index, 'n' .. id, 'm' .. number, 'd' .. number)
end
