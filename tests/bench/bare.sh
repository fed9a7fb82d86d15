#!/usr/bin/env bash
# What a person types to build the lab's cluster by hand with kubeadm: the floor that the playbook is measured against.
# Usage: bare.sh MIRROR MINOR VERSION CONTAINERD PAUSE RENDERED SSH_KEY KNOWN_HOSTS ENDPOINT GROUP/NAME=ADDRESS…
# RENDERED is a folder with flannel.yml and, for each load balancer, NAME/haproxy.cfg and NAME/keepalived.conf.
set -euo pipefail
mirror=$1 minor=$2 version=$3 containerd=$4 pause=$5 rendered=$6 key=$7 known_hosts=$8 endpoint=$9
shift 9
flannel=$rendered/flannel.yml
control_planes=() workers=() load_balancers=()
for host in "$@"; do
  case $host in
    control_plane/*) control_planes+=("${host#*/}") ;;
    workers/*) workers+=("${host#*/}") ;;
    load_balancers/*) load_balancers+=("${host#*/}") ;;
  esac
done
nodes=("${control_planes[@]}" "${workers[@]}")

on() { # NODE=ADDRESS, script on standard input
  ssh -i "$key" -o UserKnownHostsFile="$known_hosts" -o BatchMode=yes -o LogLevel=ERROR "root@${1#*=}" bash -euo pipefail -s
}

prepare() {
  on "$1" <<SCRIPT
    hostnamectl set-hostname ${1%%=*}
    printf 'br_netfilter\noverlay\n' > /etc/modules-load.d/kubernetes.conf
    printf 'net.ipv4.ip_forward=1\nnet.bridge.bridge-nf-call-iptables=1\nnet.bridge.bridge-nf-call-ip6tables=1\n' > /etc/sysctl.d/99-kubernetes.conf
    sysctl --quiet --load /etc/sysctl.d/99-kubernetes.conf
    mkdir -p /etc/apt/keyrings /etc/containerd
    curl --fail --silent --show-error --output /etc/apt/keyrings/docker.asc $mirror/linux/debian/gpg
    curl --fail --silent --show-error --output /etc/apt/keyrings/kubernetes.asc $mirror/core:/stable:/v$minor/deb/Release.key
    echo 'deb [signed-by=/etc/apt/keyrings/docker.asc] $mirror/linux/debian bookworm stable' > /etc/apt/sources.list.d/docker.list
    echo 'deb [signed-by=/etc/apt/keyrings/kubernetes.asc] $mirror/core:/stable:/v$minor/deb/ /' > /etc/apt/sources.list.d/kubernetes.list
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
      'containerd.io=$containerd-*' 'kubeadm=$version-*' 'kubelet=$version-*' 'kubectl=$version-*' > /dev/null
    apt-mark hold -qq containerd.io kubeadm kubelet kubectl > /dev/null
    for registry in registry.k8s.io ghcr.io; do
      mkdir -p /etc/containerd/certs.d/\$registry
      printf 'server = "https://%s"\n[host."%s/v2/%s"]\ncapabilities = ["pull", "resolve"]\noverride_path = true\n' \
        \$registry $mirror \$registry > /etc/containerd/certs.d/\$registry/hosts.toml
    done
    restricted=false patch='{}'
    (( 0x\$(awk '/CapBnd/ {print \$2}' /proc/self/status) & 1 << 24 )) || restricted=true
    [[ \$restricted == true ]] && patch='{"featureGates": {"KubeletInUserNamespace": true}}'
    mkdir -p /etc/kubernetes/patches
    [[ \$(stat -fc %T /sys/fs/cgroup) == cgroup2fs ]] || patch="{\"failCgroupV1\": false, \${patch#\{}"
    patch=\${patch/, \}/\}}
    echo "\$patch" > /etc/kubernetes/patches/kubeletconfiguration+merge.json
    cat > /etc/containerd/config.toml <<TOML
version = 3
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "$pause"
[plugins."io.containerd.cri.v1.images".registry]
config_path = "/etc/containerd/certs.d"
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = \$restricted
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
SystemdCgroup = true
TOML
    systemctl restart containerd
    printf 'runtime-endpoint: unix:///run/containerd/containerd.sock\n' > /etc/crictl.yaml
    if [[ " ${control_planes[*]} " == *" $1 "* ]]; then
      kubeadm config images pull --kubernetes-version v$version > /dev/null
    fi
    for image in $(grep -o 'image: .*' "$flannel" | cut -d' ' -f2 | sort -u | tr '\n' ' '); do crictl pull \$image > /dev/null; done
SCRIPT
}

balance() {
  {
    echo "DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND; apt-get update -qq; mkdir -p /etc/keepalived"
    echo "apt-get install -qq -y --no-install-recommends haproxy keepalived > /dev/null"
    echo "cat > /etc/haproxy/haproxy.cfg <<'FILE'"; cat "$rendered/${1%%=*}/haproxy.cfg"; echo FILE
    echo "cat > /etc/keepalived/keepalived.conf <<'FILE'"; cat "$rendered/${1%%=*}/keepalived.conf"; echo FILE
    echo "systemctl reload haproxy; systemctl enable --quiet --now keepalived"
  } | on "$1"
}

control_plane=${control_planes[0]}

for host in "${load_balancers[@]}"; do balance "$host" & done
for node in "${nodes[@]}"; do prepare "$node" & done
for job in $(jobs -p); do wait "$job"; done

on "$control_plane" <<SCRIPT
  cat > /root/kubeadm.yaml <<YAML
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: ${control_plane#*=}}
patches: {directory: /etc/kubernetes/patches}
nodeRegistration:
  kubeletExtraArgs: [{name: node-ip, value: ${control_plane#*=}}]
  ignorePreflightErrors: [SystemVerification]
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v$version
controlPlaneEndpoint: $endpoint
networking: {podSubnet: 10.244.0.0/16}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: systemd
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 100Mi, nodefs.available: 1Gi, imagefs.available: 1Gi}
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
conntrack: {maxPerCore: 0, min: 0}
YAML
  kubeadm init --config /root/kubeadm.yaml --upload-certs > /root/kubeadm.log 2>&1
  mkdir -p /root/.kube && cp /etc/kubernetes/admin.conf /root/.kube/config
SCRIPT
join=$(on "$control_plane" <<< 'kubeadm token create --ttl 30m --print-join-command')
certificates=$(on "$control_plane" <<< 'grep -o -m1 "certificate-key [0-9a-f]*" /root/kubeadm.log | cut -d" " -f2')
read -r _ _ discovery _ token _ hash <<< "$join"

join() { # NODE=ADDRESS, lines for a control plane
  on "$1" <<SCRIPT
    cat > /root/kubeadm.yaml <<YAML
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
patches: {directory: /etc/kubernetes/patches}
discovery: {bootstrapToken: {apiServerEndpoint: "$discovery", token: "$token", caCertHashes: ["$hash"]}}
${2:-}
nodeRegistration:
  kubeletExtraArgs: [{name: node-ip, value: ${1#*=}}]
  ignorePreflightErrors: [SystemVerification]
YAML
    kubeadm join --config /root/kubeadm.yaml > /root/kubeadm.log 2>&1
SCRIPT
}

for node in "${control_planes[@]:1}"; do
  join "$node" "controlPlane: {certificateKey: $certificates, localAPIEndpoint: {advertiseAddress: ${node#*=}}}"
done
for node in "${workers[@]}"; do join "$node" & done
on "$control_plane" < <(echo "kubectl apply -f - > /dev/null <<'MANIFEST'"; cat "$flannel"; echo MANIFEST)
for job in $(jobs -p); do wait "$job"; done

on "$control_plane" <<SCRIPT
  until [[ \$(kubectl get nodes --no-headers | wc -l) == ${#nodes[@]} ]]; do sleep 0.2; done
  kubectl wait --for=condition=Ready nodes --all --timeout=180s > /dev/null
  kubectl -n kube-system rollout status deployment/coredns --timeout=180s > /dev/null
SCRIPT
