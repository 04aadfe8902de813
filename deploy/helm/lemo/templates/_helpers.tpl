{{- define "lemo.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "lemo.image" -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}

{{- define "lemo.flinkImage" -}}
{{- printf "%s:%s" .Values.flink.image.repository (default .Chart.AppVersion .Values.flink.image.tag) -}}
{{- end -}}

{{/* Flink takes names of up to 45 characters. Its operator adds `-rest` for the Service. */}}
{{- define "lemo.flinkName" -}}
{{- printf "%s-flink" (include "lemo.name" . | trunc 39 | trimSuffix "-") -}}
{{- end -}}

{{- define "lemo.serviceAccount" -}}
{{- default (include "lemo.name" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "lemo.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
app.kubernetes.io/name: lemo
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* Labels of the pods of one component: dict "root" $ "component" "api". They never change. */}}
{{- define "lemo.selector" -}}
app.kubernetes.io/name: lemo
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The consumer group, as lemo.settings names it. */}}
{{- define "lemo.kafkaGroup" -}}
{{- $default := ternary "lemo-recommender-group" (printf "%s-lemo-recommender-group" .Values.installation) (eq .Values.installation "lemo") -}}
{{- get .Values.settings "LEMO_KAFKA_GROUP" | default $default -}}
{{- end -}}

{{/* What must be there before anything is rendered, told in words. */}}
{{- define "lemo.check" -}}
{{- if not .Values.trial.enabled -}}
{{- if not .Values.secretName -}}
{{- fail "secretName is empty: make a Secret with LEMO_REDIS_URL, LEMO_MONGO_URL and LEMO_CLICKHOUSE_URL and name it, or set trial.enabled=true to try Lemo without engines" -}}
{{- end -}}
{{- if not .Values.snapshotsUrl -}}
{{- fail "snapshotsUrl is empty: workers write models there and the API reads them; set s3://bucket/prefix (settings.LEMO_S3_ENDPOINT for an S3 that is not Amazon's)" -}}
{{- end -}}
{{- if and .Values.consumer.enabled .Values.consumer.keda.enabled (not .Values.kafkaBootstrapServers) -}}
{{- fail "consumer.keda.enabled needs kafkaBootstrapServers: KEDA reads the lag of a Kafka consumer group" -}}
{{- end -}}
{{- if .Values.flink.enabled -}}
{{- if not .Values.kafkaBootstrapServers -}}
{{- fail "flink.enabled needs kafkaBootstrapServers: Flink's jobs read from Kafka and write to it" -}}
{{- end -}}
{{- if not .Values.flink.claimName -}}
{{- fail "flink.claimName is empty: name a PersistentVolumeClaim that several pods may mount (ReadWriteMany), for checkpoints" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Environment of a container: dict "root" $ "component" NAME "more" (dict NAME VALUE ...). Later ones win. */}}
{{- define "lemo.env" -}}
{{- $v := .root.Values -}}
{{- $name := include "lemo.name" .root -}}
{{- $env := dict "LEMO_INSTALLATION" $v.installation -}}
{{- if not $v.trial.enabled -}}
{{- $_ := set $env "LEMO_API_HOST" (printf "%s-api" $name) -}}
{{- $_ := set $env "LEMO_CONSOLE_HOST" (printf "%s-console" $name) -}}
{{- $_ := set $env "LEMO_KAFKA_BOOTSTRAP_SERVERS" $v.kafkaBootstrapServers -}}
{{- $_ := set $env "LEMO_MILVUS_URI" $v.milvusUri -}}
{{- $_ := set $env "LEMO_SNAPSHOTS_URL" $v.snapshotsUrl -}}
{{- if $v.flink.enabled -}}
{{- $_ := set $env "LEMO_FLINK_URL" (printf "http://%s-rest:8081" (include "lemo.flinkName" .root)) -}}
{{- end -}}
{{- end -}}
{{- range $key, $value := merge (dict) .more $v.settings $env }}
- name: {{ $key }}
  value: {{ include "lemo.text" $value | quote }}
{{- end }}
{{- end -}}

{{/* A value as text: Helm reads 2000000 as a float, and would write 2e+06. */}}
{{- define "lemo.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- int64 . -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{/* Secrets by reference: dict "root" $. */}}
{{- define "lemo.envFrom" -}}
{{- with .root.Values.secretName -}}
envFrom:
  - secretRef: {name: {{ . }}}
{{- end -}}
{{- end -}}

{{- define "lemo.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{- define "lemo.mounts" -}}
volumeMounts:
  - {name: home, mountPath: /var/lib/lemo}
  - {name: tmp, mountPath: /tmp}
{{- end -}}

{{/* What every pod has besides its containers: dict "root" $ "home" (false: a claim of its own is mounted). */}}
{{- define "lemo.podBase" -}}
{{- $v := .root.Values -}}
serviceAccountName: {{ include "lemo.serviceAccount" .root }}
automountServiceAccountToken: false
# Kubernetes would set LEMO_API_PORT=tcp://... for a Service of that name, which is one of Lemo's settings.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with $v.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- with $v.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
{{- if .home }}
  - name: home
    emptyDir: {sizeLimit: {{ $v.volumes.home }}}
{{- end }}
  - name: tmp
    emptyDir: {sizeLimit: {{ $v.volumes.tmp }}}
{{- end -}}

{{/*
The template of a pod: dict "root" $, "component" (labels), "service" (as `lemo doctor` names it), "args",
"env", "port" (0: none), "portName", "probes" (text), "resources", "grace" (seconds), "preStop" (seconds).
*/}}
{{- define "lemo.pod" -}}
metadata:
  labels:
    {{- include "lemo.selector" . | nindent 4 }}
    {{- with .root.Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .root.Values.podAnnotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- include "lemo.podBase" (dict "root" .root "home" true) | nindent 2 }}
  terminationGracePeriodSeconds: {{ .grace }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "lemo.selector" . | nindent 10 }}
  {{- if .root.Values.waitForEngines }}
  initContainers:
    - name: wait-for-engines
      image: {{ include "lemo.image" .root }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args: [doctor, --service, {{ .service }}]
      env:
        {{- include "lemo.env" (dict "root" .root "more" .env) | trim | nindent 8 }}
      {{- include "lemo.envFrom" . | nindent 6 }}
      {{- include "lemo.containerSecurity" . | nindent 6 }}
      resources: {{- toYaml .resources | nindent 8 }}
      {{- include "lemo.mounts" . | nindent 6 }}
  {{- end }}
  containers:
    - name: {{ .service }}
      image: {{ include "lemo.image" .root }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args: {{ toJson .args }}
      env:
        {{- include "lemo.env" (dict "root" .root "more" .env) | trim | nindent 8 }}
      {{- include "lemo.envFrom" . | nindent 6 }}
      {{- if .port }}
      ports:
        - {name: {{ .portName }}, containerPort: {{ .port }}}
      {{- end }}
      {{- .probes | nindent 6 }}
      {{- if .preStop }}
      # Until every node knows that no request is to be sent here.
      lifecycle: {preStop: {exec: {command: [sleep, {{ .preStop | quote }}]}}}
      {{- end }}
      {{- include "lemo.containerSecurity" . | nindent 6 }}
      resources: {{- toYaml .resources | nindent 8 }}
      {{- include "lemo.mounts" . | nindent 6 }}
{{- end -}}

{{/* Probes of a port that answers: dict "live" PATH "ready" PATH "port" NAME. */}}
{{- define "lemo.httpProbes" -}}
startupProbe:
  httpGet: {path: {{ .live }}, port: {{ .port }}}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 60
livenessProbe:
  httpGet: {path: {{ .live }}, port: {{ .port }}}
  periodSeconds: 20
  timeoutSeconds: 10
  failureThreshold: 4
readinessProbe:
  httpGet: {path: {{ .ready }}, port: {{ .port }}}
  periodSeconds: 10
  timeoutSeconds: 10
  failureThreshold: 3
{{- end -}}
