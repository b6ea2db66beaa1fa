{{/* What a schema cannot see: values that contradict each other. */}}
{{- define "capstan.check" -}}
{{- $names := dict -}}
{{- range .Values.pools -}}
{{- $pool := include "capstan.pool" (dict "root" $ "pool" .) | fromYaml -}}
{{- if hasKey $names $pool.name -}}
{{- fail (printf "pools has two pools of the name %q: give each a name of its own" $pool.name) -}}
{{- end -}}
{{- $_ := set $names $pool.name true -}}
{{- $scaling := $pool.autoscaling -}}
{{- if gt (int $scaling.min) (int $scaling.max) -}}
{{- fail (printf "pool %q: autoscaling.min is %d and autoscaling.max %d: make the one as small as the other, or smaller" $pool.name (int $scaling.min) (int $scaling.max)) -}}
{{- end -}}
{{- end -}}
{{- with .Values.monitoring.serviceMonitor -}}
{{- if and .enabled (not .tokenSecret.name) -}}
{{- fail "monitoring.serviceMonitor.enabled needs monitoring.serviceMonitor.tokenSecret.name: schedulers show metrics to nobody without a token; name a Secret that has one" -}}
{{- end -}}
{{- end -}}
{{- end -}}
