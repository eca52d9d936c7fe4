-- ARGV from 8: name, index.
local name, index = ARGV[8], tonumber(ARGV[9])

return edit(function()
  local current = block(root, name)
  if not current then
    return refused(MISSING)
  end
  local names, metas = described(root, 'm')
  local places = {}
  for i, other in ipairs(names) do
    local version, order, updated = split(metas[i])
    places[i] = {name = other, version = version, order = order, updated = updated}
  end
  table.sort(places, function(a, b) return a.order < b.order end)
  local moved, rest = nil, {}
  for _, place in ipairs(places) do
    if place.name == name then
      moved = place
    else
      rest[#rest + 1] = place
    end
  end
  table.insert(rest, math.min(index, #rest) + 1, moved)
  for i, place in ipairs(rest) do
    if place.name == name then
      current[2] = i - 1
    end
  end
  commit(current)
  for i, place in ipairs(rest) do
    if place.order ~= i - 1 then
      call('HSET', root, 'm' .. place.name, whole(place.version) .. ' ' .. (i - 1) .. ' ' .. place.updated)
    end
  end
  return done(current)
end)
