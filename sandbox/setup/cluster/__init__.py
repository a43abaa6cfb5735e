"""Set-ups in a Kubernetes cluster: each a Job with rootless BuildKit, its image in a registry."""
