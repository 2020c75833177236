{{- define "l2cap.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 48 | trimSuffix "-" }}
{{- else }}{{ $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}{{ .Release.Name | trunc 48 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $name | trunc 48 | trimSuffix "-" }}{{ end }}{{ end }}
{{- end }}

{{- define "l2cap.operator" -}}{{ include "l2cap.fullname" . }}-operator{{- end }}

{{/* The namespace that is watched; empty for all of them. */}}
{{- define "l2cap.watched" -}}
{{- if and (eq .Values.scope "cluster") .Values.watchNamespace }}{{ fail "watchNamespace: with scope `cluster` all namespaces are watched; leave it empty, or set scope to `namespace`" }}{{ end }}
{{- if and (eq .Values.scope "namespace") .Values.captures.namespaces }}{{ fail "captures.namespaces: with scope `namespace` captures run in the namespace that is watched; leave it empty, or set scope to `cluster`" }}{{ end }}
{{- if eq .Values.scope "namespace" }}{{ default .Release.Namespace .Values.watchNamespace }}{{ end }}
{{- end }}

{{/* Namespaces that captures are known to run in, as JSON under `list`. */}}
{{- define "l2cap.captureNamespaces" -}}
{{- $watched := include "l2cap.watched" . }}
{{- dict "list" (ternary (uniq .Values.captures.namespaces) (list $watched) (empty $watched)) | toJson }}
{{- end }}

{{- define "l2cap.operatorAccount" -}}
{{- with .Values.operator.serviceAccount }}
{{- if not (or .create .name) }}{{ fail "operator.serviceAccount: give a name where create is false: rights to make pods must not go to the account `default`, which others use" }}{{ end }}
{{- default (include "l2cap.operator" $) .name }}
{{- end }}
{{- end }}

{{/* Where captures run is not always known; an account that is missing there would refuse every pod. */}}
{{- define "l2cap.captureAccount" -}}
{{- $known := (include "l2cap.captureNamespaces" . | fromJson).list }}
{{- $own := and .Values.captures.serviceAccount.create $known }}
{{- .Values.settings.pods.serviceAccountName | default (ternary (printf "%s-capture" (include "l2cap.fullname" .)) "default" (not (empty $own))) }}
{{- end }}

{{- define "l2cap.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{/* What selects the operator's pods; it can never change. */}}
{{- define "l2cap.operatorSelector" -}}
app.kubernetes.io/name: l2cap
app.kubernetes.io/component: operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "l2cap.labels" -}}
{{- $own := dict "app.kubernetes.io/name" "l2cap" "app.kubernetes.io/instance" .Release.Name "app.kubernetes.io/version" .Chart.AppVersion "app.kubernetes.io/managed-by" .Release.Service "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") }}
{{- merge $own .Values.extraLabels | toYaml }}
{{- end }}

{{/* The same with more of them, which come before those of extraLabels: each key once. */}}
{{- define "l2cap.labelsWith" -}}
{{- $root := index . 0 }}
{{- mergeOverwrite (include "l2cap.labels" $root | fromYaml) (index . 1) | toYaml }}
{{- end }}

{{/* The settings as the operator reads them. */}}
{{- define "l2cap.settings" -}}
{{- $settings := deepCopy .Values.settings }}
{{- $image := dict "imagePullPolicy" .Values.image.pullPolicy "imagePullSecrets" .Values.image.pullSecrets "serviceAccountName" (include "l2cap.captureAccount" .) }}
{{- $_ := set $settings "pods" (mergeOverwrite $image $settings.pods) }}
{{- if not $settings.image }}{{ $_ := set $settings "image" (include "l2cap.image" .) }}{{ end }}
{{- toYaml $settings }}
{{- end }}

{{/* "yes" where objects of this API are to be made. */}}
{{- define "l2cap.monitored" -}}
{{- $has := .root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind) }}
{{- $when := .root.Values.monitoring.resources }}
{{- if or (eq $when "always") (and (eq $when "auto") $has) }}yes{{ end }}
{{- end }}

{{- define "l2cap.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "l2cap.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .Values.operator.runAsUser }}
runAsGroup: {{ .Values.operator.runAsUser }}
fsGroup: {{ .Values.operator.runAsUser }}
seccompProfile: {type: RuntimeDefault}
{{- end }}
