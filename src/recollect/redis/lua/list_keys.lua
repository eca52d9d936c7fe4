-- Returns the keys of all variables.
return look(function(root)
  local at = now()
  local names, metas = described(part(root, 'v'), 'm')
  local alive = {}
  for i, name in ipairs(names) do
    if is_alive(metas[i], at) then
      alive[#alive + 1] = name
    end
  end
  return alive
end)
