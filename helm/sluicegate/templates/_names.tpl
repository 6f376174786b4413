{{- define "sluicegate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 42 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 42 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What a selector names; it must never change. (list . "gateway") */}}
{{- define "sluicegate.selector" -}}
{{- $ := index . 0 -}}
app.kubernetes.io/name: sluicegate
app.kubernetes.io/instance: {{ $.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of an object; (list . "gateway") */}}
{{- define "sluicegate.labels" -}}
{{- $ := index . 0 -}}
{{ include "sluicegate.selector" . }}
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $.Release.Service }}
helm.sh/chart: {{ $.Chart.Name }}-{{ $.Chart.Version | replace "+" "_" }}
{{- with $.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "sluicegate.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "sluicegate.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "sluicegate.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where a pod may run, from the values of its role. */}}
{{- define "sluicegate.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* "true" where gateways count limits together. */}}
{{- define "sluicegate.sharesLimits" -}}
{{- if or .Values.stores.limits.existingSecret.name .Values.stores.limits.valkey.enabled -}}
true
{{- end -}}
{{- end -}}

{{/* Environment of whoever reads or writes the store of limits. */}}
{{- define "sluicegate.limitsEnv" -}}
{{- $limits := .Values.stores.limits -}}
{{- if $limits.existingSecret.name -}}
- name: SLUICEGATE_LIMITS_URL
  valueFrom: {secretKeyRef: {name: {{ $limits.existingSecret.name }}, key: {{ $limits.existingSecret.key }}}}
{{- else if $limits.valkey.enabled -}}
{{ include "sluicegate.valkeyPassword" . }}
- name: SLUICEGATE_LIMITS_URL
  value: redis://:$(VALKEY_PASSWORD)@{{ include "sluicegate.fullname" . }}-valkey:6379/0
{{- end -}}
{{- end -}}

{{- define "sluicegate.valkeyPassword" -}}
- name: VALKEY_PASSWORD
  valueFrom: {secretKeyRef: {{ .Values.stores.limits.valkey.passwordSecret | toJson }}}
{{- end -}}

{{/* "true" where there is a spend ledger. */}}
{{- define "sluicegate.hasLedger" -}}
{{- if or .Values.stores.ledger.existingSecret.name .Values.stores.ledger.persistentVolumeClaim.enabled -}}
true
{{- end -}}
{{- end -}}

{{/* "true" where there may be more than one gateway. */}}
{{- define "sluicegate.several" -}}
{{- $scaling := .Values.gateway.autoscaling -}}
{{- if or (and $scaling.enabled (gt (int $scaling.maxReplicas) 1)) (and (not $scaling.enabled) (gt (int .Values.gateway.replicas) 1)) -}}
true
{{- end -}}
{{- end -}}
