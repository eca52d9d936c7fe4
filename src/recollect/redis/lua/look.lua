-- A question to one or several scopes of a tenant.
-- KEYS: the tenant's hash, the root of each scope.
-- ARGV: the epoch that the caller knows of the tenant, or ''; now, or '' for the time here; the time to live
-- of sessions in milliseconds, '0' for ever; a digit for each scope, '1' for a session; the question's own.

local function now()
  if ARGV[2] ~= '' then
    return tonumber(ARGV[2])
  end
  local time = call('TIME')
  return time[1] * 1000000 + time[2]
end

-- Whether a hundredth is over of what a session has to live: not every look has to write.
-- -1 is for ever, -2: there is none.
local function runs_out(left)
  if left < 0 then
    return left == -1 and ARGV[3] ~= '0'
  end
  return ARGV[3] == '0' or left * 100 < ARGV[3] * 99
end

-- The root of a session, which is kept by that; if it has ended, one where nothing is.
local function used(root)
  if ARGV[2] ~= '' and has_ended(root, ARGV[3], ARGV[2]) then
    return part(root, 'ended:b')
  end
  local left = call('PTTL', root)
  if runs_out(left) then
    keep(root, ARGV[3], redis.pcall)
  end
  if ARGV[2] ~= '' and left ~= -2 then
    redis.pcall('HSET', root, 'u', ARGV[2])
  end
  return root
end

local function look(answer)
  local epoch = call('HGET', KEYS[1], 'e')
  if is_behind(ARGV[1], epoch) then
    return opening(EMPTIED, epoch)[1]
  end
  local reply = opening(OK, epoch)
  for i = 2, #KEYS do
    if ARGV[4]:sub(i - 1, i - 1) == '1' then
      add(reply, answer(used(KEYS[i])))
    else
      add(reply, answer(KEYS[i]))
    end
  end
  return table.concat(reply)
end
