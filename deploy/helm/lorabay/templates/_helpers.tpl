{{- define "lorabay.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end -}}
{{- end }}

{{- define "lorabay.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "lorabay.labels" -}}
{{ include "lorabay.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "lorabay.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default (printf "%s-%s" .Chart.AppVersion .Values.device) }}
{{- end }}

{{- define "lorabay.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "lorabay.name" .) }}
{{- end }}

{{/* What no schema can say. Every template of a workload begins with it. */}}
{{- define "lorabay.check" -}}
{{- $adapters := .Values.adapters }}
{{- $ways := compact (list $adapters.claim $adapters.image $adapters.source) }}
{{- if ne (len $ways) 1 }}
{{- fail (printf "adapters: give exactly one of claim, image and source; there are %d. Set the others to \"\"." (len $ways)) }}
{{- end }}
{{- if gt (len (compact (list .Values.base.name .Values.base.claim .Values.base.image))) 1 }}
{{- fail "base: give one of name, claim and image, not several. Set the others to \"\"." }}
{{- end }}
{{- if and (or $adapters.image .Values.base.image) (semverCompare "<1.31.0-0" .Capabilities.KubeVersion.Version) }}
{{- fail (printf "adapters.image and base.image are volumes of images, which Kubernetes has from 1.31 on; this is %s. Use a claim." .Capabilities.KubeVersion.Version) }}
{{- end }}
{{- range $name, $value := .Values.env }}
{{- if hasPrefix "LORABAY_" $name }}
{{- fail (printf "env: %s is a setting of the program. Write %s into settings." $name (trimPrefix "LORABAY_" $name | lower)) }}
{{- end }}
{{- end }}
{{- if and (gt (int .Values.autoscaling.min) (int .Values.autoscaling.max)) (ne .Values.autoscaling.kind "none") }}
{{- fail (printf "autoscaling: min is %v and max is %v. Raise max." .Values.autoscaling.min .Values.autoscaling.max) }}
{{- end }}
{{- if and .Values.ray.enabled (not .Values.ray.importPath) }}
{{- fail "ray.importPath: name the application that Ray Serve runs, as module:name." }}
{{- end }}
{{- if and .Values.ray.enabled (gt (int .Values.ray.workers.min) (int .Values.ray.workers.max)) }}
{{- fail (printf "ray.workers: min is %v and max is %v. Raise max." .Values.ray.workers.min .Values.ray.workers.max) }}
{{- end }}
{{- if and .Values.ray.enabled .Values.podMonitor.enabled (gt (int (.Values.ray.arguments.ray_fronts | default 1)) 1) }}
{{- fail "podMonitor: behind Ray's proxy each scrape reads one of several fronts, and counters would jump. Have one front, or switch the monitor off." }}
{{- end }}
{{- if and .Values.ray.enabled (not .Values.ray.claim) }}
{{- fail "ray.claim: name the claim on which all pods of the cluster find the base and the store." }}
{{- end }}
{{- end }}

{{- define "lorabay.env" -}}
- name: LORABAY_ADAPTERS
  value: {{ .Values.adapters.source | default "/adapters" | quote }}
{{- if or .Values.base.claim .Values.base.image }}
- name: LORABAY_BASE
  value: /base
{{- else if .Values.base.name }}
- name: LORABAY_BASE
  value: {{ .Values.base.name | quote }}
{{- end }}
- name: LORABAY_API_KEY_FILE
  value: /etc/lorabay/keys/api-keys
{{- if .Values.keys.admin }}
- name: LORABAY_ADMIN_KEY_FILE
  value: /etc/lorabay/keys/admin-keys
{{- end }}
- name: LORABAY_GRACE_S
  value: {{ .Values.stop.grace | quote }}
{{- with .Values.accounts.secret }}
- name: LORABAY_DATABASE
  valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: database}}
{{- if $.Values.accounts.redis }}
- name: LORABAY_REDIS
  valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: redis}}
{{- end }}
{{- end }}
{{- with .Values.hubTokenSecret }}
- name: HF_TOKEN
  valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: token}}
{{- end }}
{{- range $name, $value := .Values.env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{- define "lorabay.mounts" -}}
- {name: cache, mountPath: /cache}
- {name: tmp, mountPath: /tmp}
- {name: shm, mountPath: /dev/shm}
- {name: settings, mountPath: /etc/lorabay/settings, readOnly: true}
- {name: keys, mountPath: /etc/lorabay/keys, readOnly: true}
{{- if not .Values.adapters.source }}
- {name: adapters, mountPath: /adapters, readOnly: true}
{{- end }}
{{- if or .Values.base.claim .Values.base.image }}
- {name: base, mountPath: /base, readOnly: true}
{{- end }}
{{- end }}

{{/* All volumes but the cache, which a claim of each pod holds, or an emptyDir under Ray. */}}
{{- define "lorabay.volumes" -}}
- name: tmp
  emptyDir: {}
- name: shm
  emptyDir: {medium: Memory, sizeLimit: {{ .Values.sharedMemory }}}
- name: settings
  configMap: {name: {{ include "lorabay.name" . }}}
- name: keys
  secret: {secretName: {{ .Values.keys.secret | quote }}, defaultMode: 0440}
{{- with .Values.adapters.claim }}
- name: adapters
  persistentVolumeClaim: {claimName: {{ . | quote }}, readOnly: true}
{{- end }}
{{- with .Values.adapters.image }}
- name: adapters
  image: {reference: {{ . }}, pullPolicy: {{ $.Values.image.pullPolicy }}}
{{- end }}
{{- with .Values.base.claim }}
- name: base
  persistentVolumeClaim: {claimName: {{ . | quote }}, readOnly: true}
{{- end }}
{{- with .Values.base.image }}
- name: base
  image: {reference: {{ . }}, pullPolicy: {{ $.Values.image.pullPolicy }}}
{{- end }}
{{- end }}

{{- define "lorabay.podSecurity" -}}
runAsNonRoot: true
{{- if not .Values.openshift }}
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
{{- end }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "lorabay.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "lorabay.resources" -}}
{{- $resources := deepCopy .Values.resources }}
{{- if eq .Values.device "gpu" }}
{{- $resources = mergeOverwrite $resources (dict "limits" (dict "nvidia.com/gpu" .Values.gpus)) }}
{{- end }}
{{- toYaml $resources }}
{{- end }}

{{/* What waits for a turn, and how many requests wait for a slot at any moment, over all pods. */}}
{{- define "lorabay.query.waiting" -}}
sum(lorabay_queue_waiting{namespace="{{ .Release.Namespace }}",pod=~"{{ include "lorabay.name" . }}-[0-9]+"})
{{- end }}

{{- define "lorabay.query.slotWaits" -}}
sum(rate(lorabay_slot_wait_seconds_sum{namespace="{{ .Release.Namespace }}",pod=~"{{ include "lorabay.name" . }}-[0-9]+"}[2m]))
{{- end }}
