-- Questions that do not count as a use of a session.

-- Whether a scope is there: with a name that says whether it is one of a session.
local function is_there(root, is_session)
  local ended = is_session and ARGV[2] ~= '' and has_ended(root, ARGV[3], ARGV[2])
  return not ended and call('EXISTS', root) == 1
end

local function take(answer)
  local epoch = call('HGET', KEYS[1], 'e')
  if is_behind(ARGV[1], epoch) then
    return opening(EMPTIED, epoch)[1]
  end
  local reply = opening(OK, epoch)
  for i = 2, #KEYS do
    local there = is_there(KEYS[i], ARGV[4]:sub(i - 1, i - 1) == '1')
    add(reply, answer(there and KEYS[i] or part(KEYS[i], 'ended:b')))
  end
  return table.concat(reply)
end

-- Add the fields of a hash, or the items of a list, after how many they are.
local function collect(found, values)
  found[#found + 1] = #values
  for _, value in ipairs(values) do
    found[#found + 1] = value
  end
end
