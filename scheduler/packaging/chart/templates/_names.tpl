{{- define "capstan.name" -}}
{{- .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "capstan.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "capstan.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "capstan.selector" . }}
{{- end -}}

{{- define "capstan.selector" -}}
app.kubernetes.io/name: {{ include "capstan.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* A pool with its defaults, as YAML: (dict "root" $ "pool" …). */}}
{{- define "capstan.pool" -}}
{{- mergeOverwrite (deepCopy .root.Values.poolDefaults) (deepCopy .pool) | toYaml -}}
{{- end -}}

{{/* An image by its digest, else by its tag: (dict "image" … "root" $). */}}
{{- define "capstan.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "capstan.secretName" -}}
{{- if .Values.secrets.existingSecret -}}
{{ .Values.secrets.existingSecret }}
{{- else if .Values.bundled.enabled -}}
{{ include "capstan.fullname" . }}-bundled
{{- else -}}
{{- fail "secrets.existingSecret is empty: name a Secret with the URLs of PostgreSQL, RabbitMQ and Redis and the first token, or set bundled.enabled for a trial" -}}
{{- end -}}
{{- end -}}

{{/* What every pod of ours may and may not. */}}
{{- define "capstan.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "capstan.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* The environment of both roles. */}}
{{- define "capstan.env" -}}
- name: CAPSTAN_CONFIG
  value: /etc/capstan/settings/capstan.yaml
- name: CAPSTAN__AMQP__URL_FILE
  value: /etc/capstan/secrets/amqp-url
- name: CAPSTAN__REDIS__URL_FILE
  value: /etc/capstan/secrets/redis-url
- name: CAPSTAN__BLOBS__OPTIONS__ACCESS_KEY_ID
  valueFrom:
    secretKeyRef:
      name: {{ include "capstan.secretName" . }}
      key: {{ .Values.secrets.keys.blobAccessKeyId }}
      optional: true
- name: CAPSTAN__BLOBS__OPTIONS__SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef:
      name: {{ include "capstan.secretName" . }}
      key: {{ .Values.secrets.keys.blobSecretAccessKey }}
      optional: true
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "capstan.mounts" -}}
- name: settings
  mountPath: /etc/capstan/settings
  readOnly: true
- name: secrets
  mountPath: /etc/capstan/secrets
  readOnly: true
- name: data
  mountPath: /var/lib/capstan
- name: tmp
  mountPath: /tmp
{{- range .Values.secrets.extraMounts }}
- name: extra-{{ .name }}
  mountPath: /etc/capstan/extra/{{ .name }}
  readOnly: true
{{- end }}
{{- end -}}

{{/* Volumes with the keys of the Secret that a role needs: (dict "root" $ "keys" (dict file key)). */}}
{{- define "capstan.volumes" -}}
- name: settings
  configMap:
    name: {{ include "capstan.fullname" .root }}
- name: secrets
  secret:
    secretName: {{ include "capstan.secretName" .root }}
    defaultMode: 0440
    items:
      {{- range $file, $key := .keys }}
      - key: {{ $key }}
        path: {{ $file }}
      {{- end }}
- name: data
  emptyDir: {}
- name: tmp
  emptyDir: {}
{{- range .root.Values.secrets.extraMounts }}
- name: extra-{{ .name }}
  secret:
    secretName: {{ .secretName }}
    defaultMode: 0440
{{- end }}
{{- end -}}


{{/* Slots that a pool wants: what waits for it, and what it runs: (dict "root" $ "pool" …). Every scheduler
says how much waits in the whole broker. */}}
{{- define "capstan.demand" -}}
{{- $namespace := printf "namespace=%q" .root.Release.Namespace -}}
{{- $capabilities := ternary (printf ",capability=~%q" (printf "(%s)(@.*)?" (join "|" .pool.capabilities))) "" (gt (len .pool.capabilities) 0) -}}
{{- $pods := printf "%s-worker-%s-[a-z0-9]+-[a-z0-9]+" (include "capstan.fullname" .root) .pool.name -}}
(sum(max by (capability) (capstan_queue_ready{ {{- $namespace }}{{ $capabilities -}} })) or vector(0)) + (sum(capstan_worker_slots_used{ {{- $namespace }},pod=~{{ $pods | quote -}} }) or vector(0))
{{- end -}}
