-- Returns {variables, blocks, notes, checkpoints, has_task, created_at or ''}.
return look(function(root)
  local at, variables = now(), 0
  local _, metas = described(part(root, 'v'), 'm')
  for _, meta in ipairs(metas) do
    if is_alive(meta, at) then
      variables = variables + 1
    end
  end
  local blocks = #described(root, 'm')
  local notes = call('LLEN', part(root, 'n'))
  local task = call('HEXISTS', part(root, 't'), 'j')
  return {variables, blocks, notes, #numbers(root), task, call('HGET', root, 'c') or ''}
end)
