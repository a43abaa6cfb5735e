{{- define "patchwright.labels" -}}
app.kubernetes.io/name: patchwright
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "patchwright.selector" -}}
app.kubernetes.io/name: patchwright
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "patchwright.name" -}}
{{ .root.Release.Name }}-{{ .component }}
{{- end }}

{{- define "patchwright.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* What holds for every container of ours. */}}
{{- define "patchwright.container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 10010
runAsGroup: 10010
capabilities: { drop: [ALL] }
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{/* Settings that service and workers share. Values are text, as Kubernetes wants them. */}}
{{- define "patchwright.environment" -}}
- { name: PATCHWRIGHT_PUBLIC_URL, value: {{ required "publicUrl: the address that GitHub and people use" .Values.publicUrl | quote }} }
- { name: PATCHWRIGHT_GITHUB_APP_ID, value: {{ required "github.appId: the id of your GitHub App" (.Values.github.appId | int | default "") | quote }} }
- { name: PATCHWRIGHT_GITHUB_APP_SLUG, value: {{ .Values.github.appSlug | quote }} }
- { name: PATCHWRIGHT_DATABASE_URL_FILE, value: /run/secrets/patchwright/database-url }
- { name: PATCHWRIGHT_GITHUB_PRIVATE_KEY_FILE, value: /run/secrets/patchwright/github-private-key }
- { name: PATCHWRIGHT_GITHUB_WEBHOOK_SECRET_FILE, value: /run/secrets/patchwright/github-webhook-secret }
{{- with .Values.secret.keys }}
{{- if not (or .operatorToken .githubClientSecret) }}
{{- fail "secret.keys: name operatorToken or githubClientSecret, or the service does not start: nothing would say who may see the pages" }}
{{- end }}
{{- if .operatorToken }}
- { name: PATCHWRIGHT_OPERATOR_TOKEN_FILE, value: /run/secrets/patchwright/operator-token }
{{- end }}
{{- if .metricsToken }}
- { name: PATCHWRIGHT_METRICS_TOKEN_FILE, value: /run/secrets/patchwright/metrics-token }
{{- end }}
{{- if .modelApiKey }}
- { name: PATCHWRIGHT_MODEL_API_KEY_FILE, value: /run/secrets/patchwright/model-api-key }
{{- end }}
{{- if .githubClientSecret }}
- { name: PATCHWRIGHT_GITHUB_CLIENT_SECRET_FILE, value: /run/secrets/patchwright/github-client-secret }
{{- end }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- { name: {{ $name }}, value: {{ $value | quote }} }
{{- end }}
{{- end }}

{{/* Files and not variables: a changed key is read at its next use. */}}
{{- define "patchwright.secrets" -}}
- name: secrets
  secret:
    secretName: {{ .Values.secret.name }}
    # Owned by root; the pod's group may read it.
    defaultMode: 0440
    items:
      {{- with .Values.secret.keys }}
      - { key: {{ .databaseUrl }}, path: database-url }
      - { key: {{ .githubPrivateKey }}, path: github-private-key }
      - { key: {{ .githubWebhookSecret }}, path: github-webhook-secret }
      {{- if .operatorToken }}
      - { key: {{ .operatorToken }}, path: operator-token }
      {{- end }}
      {{- if .metricsToken }}
      - { key: {{ .metricsToken }}, path: metrics-token }
      {{- end }}
      {{- if .modelApiKey }}
      - { key: {{ .modelApiKey }}, path: model-api-key }
      {{- end }}
      {{- if .githubClientSecret }}
      - { key: {{ .githubClientSecret }}, path: github-client-secret }
      {{- end }}
      {{- end }}
{{- end }}

{{/* Where service and workers may speak to. */}}
{{- define "patchwright.outward" -}}
{{- $net := .Values.networkPolicy -}}
# Names.
- ports:
    - { port: 53, protocol: UDP }
    - { port: 53, protocol: TCP }
# GitHub.
- to:
    - ipBlock:
        cidr: {{ $net.github.cidr }}
        except:
          {{- toYaml $net.github.except | nindent 10 }}
  ports:
    - { port: 443 }
# The database.
- to:
    {{- if $net.database.cidr }}
    - ipBlock: { cidr: {{ $net.database.cidr }} }
    {{- else }}
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: {{ $net.database.namespace | default .Release.Namespace }}
    {{- end }}
  ports:
    - { port: {{ $net.database.port }} }
{{- with $net.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end }}
