{{- define "refloat.labels" -}}
app.kubernetes.io/name: refloat
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "refloat.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end }}

{{- define "refloat.pod" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 42499
  runAsGroup: 42499
  fsGroup: 42499
  seccompProfile: {type: RuntimeDefault}
automountServiceAccountToken: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: configuration
    projected:
      sources:
        - secret:
            name: {{ .Values.secretName }}
            items:
              - {key: refloat.conf, path: refloat.conf}
              - {key: bank.key, path: secret/bank.key, mode: 0440}
        - configMap:
            name: {{ .Release.Name }}-refloat-providers
            # The job that makes the tables runs before it is there, and does not need it.
            optional: true
            items:
              {{- range $name, $_ := .Values.providers }}
              - {key: {{ $name }}, path: providers.d/{{ $name }}}
              {{- else }}
              []
              {{- end }}
  - name: state
    {{- if .Values.bankClaim }}
    persistentVolumeClaim: {claimName: {{ .Values.bankClaim }}}
    {{- else }}
    emptyDir: {}
    {{- end }}
  - name: tmp
    emptyDir: {}
{{- end }}

{{- define "refloat.container" -}}
image: {{ include "refloat.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: configuration, mountPath: /etc/refloat, readOnly: true}
  - {name: state, mountPath: /var/lib/refloat}
  - {name: tmp, mountPath: /tmp}
{{- end }}
