{{/*
What every object's name begins with: the release's name, with the chart's behind it unless it is in there.
At most 46 characters, as a CronJob's name has at most 52 and the purge's ends in "-purge".
*/}}
{{- define "vestibule.fullname" -}}
{{- $both := contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) -}}
{{- .Values.fullnameOverride | default $both | trunc 46 | trimSuffix "-" -}}
{{- end -}}

{{- define "vestibule.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* Selects the servers and never the purge's pods, which must get no traffic. */}}
{{- define "vestibule.serverSelector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end -}}

{{/* The labels of a pod, from (list root component extra); extra ones can't replace the chart's. */}}
{{- define "vestibule.podLabels" -}}
{{- $root := index . 0 -}}
{{- $own := include "vestibule.serverSelector" $root | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/component" (index . 1) -}}
{{- $_ := set $own "app.kubernetes.io/version" $root.Chart.AppVersion -}}
{{- mustMerge $own (index . 2) | toYaml -}}
{{- end -}}

{{- define "vestibule.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "vestibule.fullname" .) -}}
{{- end -}}

{{/* Whether the SMTP server's URL comes from the Secret: "true", or empty. */}}
{{- define "vestibule.smtpUrlIsSecret" -}}
{{- if and (eq .Values.mail.sender "smtp") (not .Values.mail.smtp.url) }}true{{ end -}}
{{- end -}}

{{/* The rest of a pod around its containers: who it runs as, where, and what it mounts. */}}
{{- define "vestibule.pod" -}}
serviceAccountName: {{ include "vestibule.serviceAccountName" . }}
automountServiceAccountToken: false
# The environment holds settings; the variables that Kubernetes makes of Services have no place in it.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  # The group that may read the mounted Secret.
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: config
    configMap:
      name: {{ include "vestibule.fullname" . }}
  - name: secrets
    secret:
      secretName: {{ .Values.existingSecret }}
      defaultMode: 0440
      # Named one by one, so that a pod whose Secret lacks a key doesn't start, and its events say why.
      items:
        - { key: database-url, path: database-url }
        - { key: keyring, path: keyring }
        {{- if include "vestibule.smtpUrlIsSecret" . }}
        - { key: smtp-url, path: smtp-url }
        {{- end }}
  {{- with .Values.templates }}
  {{- if .configMap }}
  - name: templates
    configMap:
      name: {{ .configMap }}
      items:
        {{- range $path, $key := .files }}
        - { key: {{ $key | quote }}, path: {{ $path | quote }} }
        {{- end }}
  {{- end }}
  {{- end }}
  {{- range $index, $site := .Values.sites }}
  {{- with $site.templates }}
  {{- if .configMap }}
  - name: templates-{{ $index }}
    configMap:
      name: {{ .configMap }}
      items:
        {{- range $path, $key := .files }}
        - { key: {{ $key | quote }}, path: {{ $path | quote }} }
        {{- end }}
  {{- end }}
  {{- end }}
  {{- end }}
  {{- with .Values.registration.disposableDomainsConfigMap }}
  - name: disposable-domains
    configMap:
      name: {{ . }}
      items:
        - { key: domains.txt, path: domains.txt }
  {{- end }}
{{- end -}}

{{/* The rest of a container around its name, arguments and probes. */}}
{{- define "vestibule.container" -}}
image: {{ .Values.image.repository }}{{ with .Values.image.digest }}@{{ . }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - { name: config, mountPath: /etc/vestibule, readOnly: true }
  - { name: secrets, mountPath: /run/secrets/vestibule, readOnly: true }
  {{- if .Values.templates.configMap }}
  - { name: templates, mountPath: /etc/vestibule-templates, readOnly: true }
  {{- end }}
  {{- range $index, $site := .Values.sites }}
  {{- if ($site.templates | default dict).configMap }}
  - { name: templates-{{ $index }}, mountPath: {{ printf "/etc/vestibule-site-templates/%s" $site.id | quote }}, readOnly: true }
  {{- end }}
  {{- end }}
  {{- if .Values.registration.disposableDomainsConfigMap }}
  - { name: disposable-domains, mountPath: /etc/vestibule-disposable-domains, readOnly: true }
  {{- end }}
{{- end -}}
