"""Kubestead: Kubernetes clusters with kubeadm, driven by Ansible, from one catalogue through one mirror."""
