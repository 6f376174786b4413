-- Health of an Application, so that the sync waves of an app of apps wait for each other.
-- Argo CD waits for Healthy alone: an application with a suspended model is done, not under way.

local hs = { status = "Progressing", message = "" }
local health = obj.status ~= nil and obj.status.health or nil
if health ~= nil and health.status ~= nil then
  hs.status = health.status == "Suspended" and "Healthy" or health.status
  hs.message = health.message or ""
end
return hs
