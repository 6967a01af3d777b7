/**
 * The script that `netsim collect` prints: it gathers on a node, as root, what read-collected.ts makes a CollectedNode of. POSIX sh with the tools that a
 * node has; whatever is not there is said in the file `missing`, and the rest is gathered. It changes nothing on the node, and writes no secret: of keys
 * the public ones, of CNI configuration the values of known words, of kubelet's arguments the Node's name.
 */
import { shellWord } from '../base/shell.js'

/** What the first line of the manifest says; another format is refused. */
export const COLLECT_FORMAT = 1

export interface CollectOptions {
  readonly conntrack: boolean
  readonly pods: boolean
  /** A folder, an archive (.tar, .tar.gz, .tgz) or `-`; absent: `./netsim-NODE`. */
  readonly output?: string
  /** The Node's name where the script shall not find it out. */
  readonly node?: string
}

/** The script's own flags win over these. */
export function collectScript({ conntrack, pods, output = '', node = '' }: CollectOptions): string {
  const settings = [
    `format=${COLLECT_FORMAT}`,
    `target=${shellWord(output)}`,
    `node=${shellWord(node)}`,
    `conntrack=${onOff(conntrack)}`,
    `pods=${onOff(pods)}`,
  ]
  return `#!/bin/sh\n${HEADING}set -u\n${settings.join('\n')}\n\n${GATHER}`
}

function onOff(value: boolean): string {
  return value ? 'on' : 'off'
}

const HEADING = `# What the network of a Kubernetes node consists of, written down by its own tools for netsim (netsim trace --node NODE=DIR).
# Run it as root on the node: sh collect.sh -o DIR. It changes nothing, and gathers neither keys nor payloads.
`

const GATHER = `usage() {
  cat <<'END'
usage: sh collect.sh [-o DIR|FILE.tar|FILE.tar.gz|-] [--name NODE] [--conntrack|--no-conntrack] [--pods|--no-pods]

Writes down what this node's network consists of. Run it as root on the node, in its own network namespace.
  -o      a folder that is made, an archive, or - for an archive on standard output; default ./netsim-NODE
  --name  the Node's name, where kubelet does not say another than the host's
END
}

while [ $# -gt 0 ]; do
  case $1 in
    -o | --name)
      [ $# -gt 1 ] || { echo "collect: $1 wants a value" >&2; exit 64; }
      if [ "$1" = -o ]; then target=$2; else node=$2; fi
      shift
      ;;
    --conntrack) conntrack=on ;;
    --no-conntrack) conntrack=off ;;
    --pods) pods=on ;;
    --no-pods) pods=off ;;
    -h | --help) usage; exit 0 ;;
    *) echo "collect: $1 is not known" >&2; usage >&2; exit 64 ;;
  esac
  shift
done

LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin:/opt/bin
export LC_ALL PATH
umask 077

have() { command -v "$1" >/dev/null 2>&1; }
say() { echo "collect: $*" >&2; }

hostname=$(hostname 2>/dev/null || cat /proc/sys/kernel/hostname 2>/dev/null || uname -n)

# kubelet's own word for the Node: of its arguments this one alone is looked at
kubelet_name() {
  for dir in /proc/[0-9]*; do
    read -r comm 2>/dev/null <"$dir/comm" || continue
    case $comm in kubelet | hyperkube | k3s* | rke2* | k0s*) ;; *) continue ;; esac
    tr '\\000' '\\n' <"$dir/cmdline" 2>/dev/null |
      sed -n -e 's/^--hostname-override=//p' -e 's/^--node-name=//p' -e '/^--hostname-override$/{n;p;}' -e '/^--node-name$/{n;p;}' | head -n 1
  done | head -n 1
}

if [ -z "$node" ]; then
  node=$(kubelet_name)
  [ -n "$node" ] || node=$(cat /var/lib/calico/nodename 2>/dev/null)
  [ -n "$node" ] || node=$(printf '%s' "$hostname" | tr '[:upper:]' '[:lower:]')
fi
# it becomes the name of a folder
case $node in '' | . | .. | */* | -*) say "\\"$node\\" is no name of a node: say --name"; exit 64 ;; esac

[ -n "$target" ] || target=netsim-$node
archive=
case $target in - | *.tar | *.tar.gz | *.tgz) archive=$target ;; esac
work=
cleanup() { [ -z "$work" ] || rm -rf "$work"; }
trap cleanup EXIT
trap 'exit 130' INT TERM HUP
if [ -n "$archive" ]; then
  have tar || { say 'there is no tar: say -o DIR'; exit 69; }
  work=$(mktemp -d 2>/dev/null) || { work=/tmp/netsim-collect.$$; mkdir "$work" || exit 73; }
  out=$work/netsim-$node
else
  out=$target
fi
[ ! -e "$out" ] || { say "$out is there already: take another, or remove it"; exit 73; }
mkdir -p "$out/node" || exit 73
[ "$(id -u)" = 0 ] || say 'not root: much will be missing'

missing() { printf '%s: %s\\n' "$1" "$2" >>"$out/missing"; }

# inside the namespace that $netns names, or here
inside() {
  if [ -z "$netns" ]; then "$@"
  elif [ "$entrance" = ip ]; then ip netns exec "\${netns##*/}" "$@"
  else nsenter --net="$netns" "$@"; fi
}

# take FILE COMMAND…: its output; why there is none is said in the list of what is missing
take() {
  file=$1
  shift
  if ! have "$1"; then missing "$file" "$1 is not on this node"; return 1; fi
  inside "$@" >"$out/$file" 2>"$out/.error" && return 0
  missing "$file" "$*: $(sed -n '/./{p;q;}' "$out/.error" | tr -d '\\r')"
  [ -s "$out/$file" ] || rm -f "$out/$file"
  return 1
}

# iptables-save of each kernel interface by its own name; what the plain name stands for is told by its version
take_iptables() {
  legacy=no
  nft=no
  if have iptables-legacy-save; then
    legacy=yes
    # without the list there are no tables, and asking would load them
    if [ -e /proc/net/ip_tables_names ]; then take "$1/iptables-legacy" iptables-legacy-save -c; else : >"$out/$1/iptables-legacy"; fi
  fi
  if have iptables-nft-save; then nft=yes; take "$1/iptables-nft" iptables-nft-save -c; fi
  if have iptables-save; then
    version=$(iptables-save --version 2>/dev/null || iptables --version 2>/dev/null)
    case $version in
      *nf_tables*) [ $nft = yes ] || { nft=yes; take "$1/iptables-nft" iptables-save -c; } ;;
      *) [ $legacy = yes ] || { legacy=yes; take "$1/iptables-legacy" iptables-save -c; } ;;
    esac
  elif [ $legacy$nft = nono ]; then
    missing "$1/iptables" 'iptables-save is not on this node'
  fi
  # rules of a backend that no tool here reads: its kernel side tells that there are some
  if [ $legacy = no ] && names=$(inside cat /proc/net/ip_tables_names 2>/dev/null | tr '\\n' ' ') && [ -n "$names" ]; then
    missing "$1/iptables-legacy" "the kernel has tables of it (\${names% }), and no tool on this node reads them"
  fi
  if [ $nft = no ] && ! have nft && awk '$1 == "nf_tables" && $3 > 0 { found = 1 } END { exit !found }' /proc/modules 2>/dev/null; then
    missing "$1/iptables-nft" 'the kernel has rules of nf_tables, and no tool on this node reads them'
  fi
  # rules of other programs, which iptables-save does not print
  if have nft; then
    take "$1/nft" nft -n list ruleset || return
    awk '
      /^table / { keep = !($2 == "ip" && $3 ~ /^(filter|nat|mangle|raw|security)$/) && $2 != "ip6" && $2 != "arp" }
      keep { print }
    ' "$out/$1/nft" >"$out/.nft"
    mv "$out/.nft" "$out/$1/nft"
    [ -s "$out/$1/nft" ] || rm -f "$out/$1/nft"
  fi
}

take_sockets() {
  if have ss; then take "$1/sockets" ss -lntu
  elif have netstat; then take "$1/sockets" netstat -lntu
  else
    inside cat /proc/net/tcp >"$out/$1/proc-tcp" 2>/dev/null
    inside cat /proc/net/udp >"$out/$1/proc-udp" 2>/dev/null
  fi
}

# net.* without what is secret (tcp_fastopen_key, stable_secret)
take_sysctls() {
  if have sysctl; then inside sysctl -a 2>/dev/null
  else
    for place in ipv4 bridge netfilter; do
      [ ! -d /proc/sys/net/$place ] || inside find /proc/sys/net/$place -type f -exec grep -H . {} + 2>/dev/null
    done | sed -n 's#^/proc/sys/\\([^:]*\\):\\(.*\\)$#\\1 = \\2#p' | sed -e ':again' -e 's#^\\([^ ]*\\)/#\\1.#' -e 't again'
  fi | grep -E '^net\\.(ipv4|bridge|netfilter|core)\\.' | grep -v -E 'key|secret|cookie' >"$out/$1/sysctl"
  [ -s "$out/$1/sysctl" ] || { rm -f "$out/$1/sysctl"; missing "$1/sysctl" 'no net.* settings could be read'; }
}

# a netns: the names of the files are those of what they hold
take_netns() {
  if ! have ip; then missing "$1" 'ip is not on this node'
  else
    take "$1/addr" ip -d addr show || take "$1/addr" ip addr show
    take "$1/route" ip route show table all || take "$1/route" ip route show
    take "$1/rule" ip rule show
    take "$1/neigh" ip -4 neigh show nud all || take "$1/neigh" ip neigh show
    take "$1/neigh-proxy" ip neigh show proxy
  fi
  take_sysctls "$1"
  take_iptables "$1"
  take_sockets "$1"
}

# public keys, endpoints and what peers may send; never a private or a preshared key
take_wireguard() {
  for word in public-key listen-port fwmark peers endpoints allowed-ips persistent-keepalive; do
    wg show all "$word" 2>/dev/null | sed "s/^/$word	/"
  done >"$out/node/wireguard"
  [ -s "$out/node/wireguard" ] || rm -f "$out/node/wireguard"
}

# devices as /sys has them: what a small ip does not print
take_sys() {
  for dir in /sys/class/net/*; do
    [ -e "$dir/ifindex" ] || continue
    line=\${dir##*/}
    for word in ifindex iflink type tun_flags bridge/vlan_filtering bridge/ageing_time bridge/nf_call_iptables \\
      brport/hairpin_mode brport/learning brport/unicast_flood brport/isolated; do
      value=$(cat "$dir/$word" 2>/dev/null) && line="$line $word=$value"
    done
    kind=$(sed -n 's/^DEVTYPE=//p' "$dir/uevent" 2>/dev/null)
    [ -z "$kind" ] || line="$line devtype=$kind"
    [ ! -d "$dir/device" ] || line="$line hardware=yes"
    printf '%s\\n' "$line"
  done >"$out/node/sys"
}

# JSON with the values of keys that say nothing secret; every other value becomes "…"
plain_json() {
  awk '
    BEGIN {
      many = split("cniVersion cniVersions name type plugins delegate bridge isGateway isDefaultGateway forceAddress ipMasq ipMasqBackend mtu MTU " \\
        "hairpinMode promiscMode vlan ipam subnet ranges rangeStart rangeEnd gateway routes dst gw dataDir capabilities portMappings bandwidth ips snat " \\
        "masqAll markMasqBit externalSetMarkChain backend conditionsV4 log_level datastore_type nodename nodename_file_optional assign_ipv4 assign_ipv6 " \\
        "ipv4_pools ipv6_pools container_settings allow_ip_forwarding floating_ips feature_control subnetFile master mode disableCheck usePodCidr", word, " ")
      for (i = 1; i <= many; i++) plain[word[i]] = 1
      text = ""
    }
    { text = text $0 "\\n" }
    END {
      length_of = length(text)
      key = ""
      depth = 0
      for (i = 1; i <= length_of; i++) {
        c = substr(text, i, 1)
        if (c == "\\"") {
          end = i + 1
          while (end <= length_of && (d = substr(text, end, 1)) != "\\"") end += d == "\\\\" ? 2 : 1
          string = substr(text, i, end - i + 1)
          i = end
          rest = substr(text, end + 1, 64)
          if (rest ~ /^[ \\t\\r\\n]*:/) { key = substr(string, 2, length(string) - 2); printf "%s", string }
          else printf "%s", (key in plain) ? string : "\\"…\\""
        } else if (c ~ /[-+.0-9A-Za-z]/) {
          end = i
          while (end < length_of && substr(text, end + 1, 1) ~ /[-+.0-9A-Za-z_]/) end++
          value = substr(text, i, end - i + 1)
          i = end
          printf "%s", (key in plain) || value ~ /^(true|false|null)$/ ? value : "\\"…\\""
        } else if (c == "{" || c == "[") { held[++depth] = key; printf "%s", c }
        else if (c == "}" || c == "]") { if (depth > 0) key = held[depth--]; printf "%s", c }
        else if (c ~ /[,:]/ || c ~ /[ \\t\\r\\n]/) printf "%s", c
      }
    }
  ' "$1"
}

take_files() {
  for file in /run/flannel/subnet.env /var/run/flannel/subnet.env; do
    [ -r "$file" ] || continue
    grep -E '^FLANNEL_(NETWORK|SUBNET|MTU|IPMASQ|IPV6_[A-Z]+)=' "$file" >"$out/node/subnet.env"
    break
  done
  for dir in /etc/cni/net.d /var/lib/rancher/k3s/agent/etc/cni/net.d; do
    for file in "$dir"/*.conf "$dir"/*.conflist; do
      [ -r "$file" ] || continue
      mkdir -p "$out/node/cni"
      plain_json "$file" >"$out/node/cni/\${file##*/}"
    done
  done
}

take_conntrack() {
  if have conntrack && take node/conntrack conntrack -L -f ipv4; then :
  elif [ -r /proc/net/nf_conntrack ]; then grep '^ipv4' /proc/net/nf_conntrack >"$out/node/conntrack"
  else missing node/conntrack 'neither conntrack nor /proc/net/nf_conntrack is here'; fi
}

# shellcheck disable=SC2012
inode_of() { stat -L -c %i "$1" 2>/dev/null || ls -Li "$1" 2>/dev/null | awk '{ print $1 }'; }

# runtimes: lines of "INODE NAMESPACE/NAME CONTAINER", from what each says of its sandboxes
runtime_pods() {
  for config in /run/containerd/io.containerd.runtime.v[12].*/k8s.io/*/config.json /run/k3s/containerd/io.containerd.runtime.v[12].*/k8s.io/*/config.json; do
    [ -r "$config" ] || continue
    grep -q '"io.kubernetes.cri.container-type":"sandbox"' "$config" || continue
    id=\${config%/config.json}
    sandbox "$(sed -n 's/.*"io.kubernetes.cri.sandbox-namespace":"\\([^"]*\\)".*/\\1/p' "$config")" \\
      "$(sed -n 's/.*"io.kubernetes.cri.sandbox-name":"\\([^"]*\\)".*/\\1/p' "$config")" \\
      "$(sed -n 's/.*"type":"network","path":"\\([^"]*\\)".*/\\1/p' "$config")" "\${id##*/}"
  done
  if have crictl; then
    for id in $(crictl pods -q --state ready --no-trunc 2>/dev/null || crictl pods -q 2>/dev/null); do
      # shellcheck disable=SC2046
      sandbox $(crictl inspectp "$id" 2>/dev/null | awk -F '"' '
        $2 == "io.kubernetes.pod.namespace" && space == "" { space = $4 }
        $2 == "io.kubernetes.pod.name" && name == "" { name = $4 }
        $2 == "path" && $4 ~ /netns|\\/ns\\/net$/ && path == "" { path = $4 }
        $2 == "pid" && pid == "" { pid = $3; gsub(/[^0-9]/, "", pid) }
        END { if (path == "" && pid > 0) path = "/proc/" pid "/ns/net"; if (path != "") print space, name, path }
      ') "$id"
    done
  fi
  if have docker; then
    words='{{.State.Pid}} {{.Name}} {{index .Config.Labels "io.kubernetes.pod.namespace"}} {{index .Config.Labels "io.kubernetes.pod.name"}}'
    docker ps -q --no-trunc 2>/dev/null | while read -r id; do
      docker inspect -f "$words" "$id" 2>/dev/null |
        while read -r pid name space pod; do
          if [ -n "$pod" ]; then sandbox "$space" "$pod" "/proc/$pid/ns/net" "$id"
          else sandbox '' "\${name#/}" "/proc/$pid/ns/net" "$id"; fi
        done
    done
  fi
}

# sandbox NAMESPACE NAME PATH ID
sandbox() {
  [ $# = 4 ] && [ -n "$2" ] && [ -e "$3" ] || return 0
  printf '%s %s %s\\n' "$(inode_of "$3")" "\${1:+$1/}$2" "$4"
}

# every namespace but the node's own, once: "INODE PATH"
other_netns() {
  own=$(inode_of /proc/self/ns/net)
  {
    for path in /var/run/netns/* /run/netns/* /var/run/docker/netns/*; do
      [ ! -e "$path" ] || echo "$(inode_of "$path") $path"
    done
    # shellcheck disable=SC2012
    ls -l /proc/[0-9]*/ns/net 2>/dev/null | awk '/ -> net:/ { gsub(/[^0-9]/, "", $NF); print $NF, $(NF - 2) }'
  } | awk -v own="$own" '$1 != own && !seen[$1]++'
}

# belongs NAME FILE: is one end of a veth of that namespace here, or does a device of it sit on one of these? Others are of other nodes, or nobody's.
belongs() {
  list=$out/node/list-id
  [ -e "$list" ] || list=/dev/null
  awk -v name="$1" '
    FILENAME != at { at = FILENAME; part++ }
    part == 1 { if ($1 == "nsid" && $5 == "name:") { sub(/[)]$/, "", $6); named[$2] = $6 }; next }
    /^[0-9]+: / {
      index_of = $1 + 0
      peer = $2
      # a port of a bridge over there is the far end of a cable, as nodes that are containers have it
      if (peer !~ /@if[0-9]+:$/ || (part == 3 && / master /)) peer = 0
      else { sub(/^.*@if/, "", peer); peer += 0 }
      if (part == 2) { here[index_of] = 1; peers[index_of] = peer }
      else if (peer && peers[peer] == index_of && (name == "" || homes[peer] == "" || homes[peer] == name)) found = 1
    }
    part == 2 {
      for (i = 1; i < NF; i++) {
        if ($i == "link-netns") homes[index_of] = $(i + 1)
        if ($i == "link-netnsid" && $(i + 1) in named) homes[index_of] = named[$(i + 1)]
      }
    }
    part == 3 && $1 ~ /^(macvlan|macvtap|ipvlan|vlan)$/ && peer && peer in here { found = 1 }
    END { exit !found }
  ' "$list" "$out/node/addr" "$2"
}

take_pods() {
  have ip || return
  runtime_pods | sort -u >"$out/.sandboxes"
  other_netns >"$out/.netns"
  while read -r inode path; do
    netns=$path
    entrance=nsenter
    name=
    case $path in /proc/*) ;; *) name=\${path##*/} ;; esac
    if ! have nsenter; then
      entrance=ip
      case $path in /var/run/netns/* | /run/netns/*) ;; *) missing "pods/$inode" 'nsenter is not on this node'; continue ;; esac
    fi
    { inside ip -d addr show || inside ip addr show; } >"$out/.addr" 2>"$out/.error" || {
      # its last process has ended since
      [ -e "$path" ] || continue
      missing "pods/$inode" "$path: $(sed -n '/./{p;q;}' "$out/.error")"
      continue
    }
    belongs "$name" "$out/.addr" || continue
    mkdir -p "$out/pods/$inode"
    {
      echo "inode $inode"
      [ -z "$name" ] || echo "name $name"
      awk -v inode="$inode" '$1 == inode { print "pod " $2; print "container " $3; exit }' "$out/.sandboxes"
    } >"$out/pods/$inode/about"
    take_netns "pods/$inode"
  done <"$out/.netns"
  netns=
}

netns=
entrance=
{
  echo "netsim-collect $format"
  echo "node $node"
  echo "hostname $hostname"
  echo "kernel $(uname -s) $(uname -r) $(uname -m)"
  echo "conntrack $conntrack"
  echo "pods $pods"
  ! have ip || echo "tool ip $(ip -V 2>&1 | head -n 1)"
  ! have iptables-save || echo "tool iptables $(iptables --version 2>&1 | head -n 1)"
  ! have ipset || echo "tool ipset $(ipset --version 2>&1 | head -n 1)"
} >"$out/manifest"

take_netns node
take_sys
if have bridge; then
  take node/fdb bridge -d fdb show || take node/fdb bridge fdb show
  take node/bridge-link bridge -d link show
else
  missing node/fdb 'bridge is not on this node'
fi
if have ipset; then take node/ipset ipset save; fi
if have wg; then take_wireguard; fi
ip netns list-id >"$out/node/list-id" 2>/dev/null
[ -s "$out/node/list-id" ] || rm -f "$out/node/list-id"
take_files
[ "$conntrack" = off ] || take_conntrack
[ "$pods" = off ] || take_pods
rm -f "$out/.error" "$out/.addr" "$out/.netns" "$out/.sandboxes"
# a disk that is full now may have been so for a file before
dd if=/dev/zero of="$out/.room" bs=4096 count=8 2>/dev/null || { say "there is no room left where $out is: it is not whole"; exit 74; }
rm -f "$out/.room"
# so that what is lost on the way is seen
(cd "$out" && find . -type f ! -name manifest -exec wc -c {} +) | sed -n 's#^ *\\([0-9][0-9]*\\) \\./#file \\1 #p' | sort -k 3 >>"$out/manifest"

case $archive in
  '') say "$out" ;;
  -) tar -C "$work" -cf - "netsim-$node" ;;
  *.tar) tar -C "$work" -cf - "netsim-$node" >"$archive" && say "$archive" ;;
  *) tar -C "$work" -cf - "netsim-$node" | gzip >"$archive" && say "$archive" ;;
esac
`
