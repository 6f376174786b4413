-- Health of a ModelDeployment or an ApiKey, from the conditions that the operator writes.
-- Only what a change in Git has to mend is Degraded; what may come by itself is Progressing.

local hs = { status = "Progressing", message = "Waiting for the operator." }
if obj.status == nil or obj.status.conditions == nil then
  return hs
end

local by_type = {}
for _, condition in ipairs(obj.status.conditions) do
  by_type[condition.type] = condition
end
local ready = by_type.Ready
if ready == nil or ready.status == "Unknown" then
  return hs
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  hs.message = "Waiting for the operator to see this version."
  return hs
end

hs.message = ready.message
if ready.status == "True" then
  hs.status = ready.reason == "Suspended" and "Suspended" or "Healthy"
  local expected = { Accepted = true, ResolvedRefs = true, Programmed = true, Ready = true }
  for _, condition in ipairs(obj.status.conditions) do -- PoolConflict, ExpiringSoon, …
    if condition.status == "True" and not expected[condition.type] then
      hs.message = hs.message .. " " .. condition.type .. ": " .. condition.message
    end
  end
  return hs
end

-- What is referred to is there and wrong, or a gateway does not take the configuration.
local wrong = {
  CredentialKindMismatch = true,
  Rejected = true,
  SecretExists = true,
  SecretKeyMissing = true,
  SecretNotLabelled = true,
}
if by_type.Reconciling == nil or wrong[ready.reason] then
  hs.status = "Degraded"
end
return hs
