-- ARGV from 8: name, index.
local name, index = ARGV[8], tonumber(ARGV[9])

-- The other blocks in their order, and this one at the index.
local function moved()
  local names, metas = described(root, 'm')
  local this, places = nil, {}
  for i, other in ipairs(names) do
    local version, order, updated = split(metas[i])
    local place = {name = other, version = version, order = order, updated = updated}
    if other == name then
      this = place
    else
      places[#places + 1] = place
    end
  end
  table.sort(places, function(a, b) return a.order < b.order end)
  local to = math.min(index, #places)
  table.insert(places, to + 1, this)
  return places, to
end

return edit(function()
  local current = block(name)
  if not current then
    return false, MISSING
  end
  local places, to = moved()
  current[2] = to
  return current, function()
    for i, place in ipairs(places) do
      if place.order ~= i - 1 then
        call('HSET', root, 'm' .. place.name, whole(place.version) .. ' ' .. (i - 1) .. ' ' .. place.updated)
      end
    end
  end
end)
