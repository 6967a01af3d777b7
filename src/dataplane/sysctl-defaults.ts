/**
 * What a fresh netns of Linux 6.18 has under net.ipv4, net.bridge and net.netfilter: read from that kernel, key by key. A few
 * depend on the machine's memory there (tcp_rmem, nf_conntrack_max). Vectors have a list.
 */
type Group = Readonly<Record<string, number | readonly number[]>>

export const SYSCTL_DEFAULTS: Readonly<Record<string, Group>> = {
  'net.ipv4.': {
    fib_multipath_hash_fields: 7, fib_multipath_hash_policy: 0, fib_multipath_use_neigh: 0, fib_notify_on_flag_change: 0, fwmark_reflect: 0,
    icmp_echo_enable_probe: 0, icmp_echo_ignore_all: 0, icmp_echo_ignore_broadcasts: 1, icmp_errors_use_inbound_ifaddr: 0,
    icmp_ignore_bogus_error_responses: 1, icmp_msgs_burst: 50, icmp_msgs_per_sec: 1000, icmp_ratelimit: 1000, icmp_ratemask: 6168,
    igmp_link_local_mcast_reports: 1, igmp_max_memberships: 20, igmp_max_msf: 10, igmp_qrv: 2, ip_autobind_reuse: 0, ip_default_ttl: 64,
    ip_dynaddr: 0, ip_early_demux: 1, ip_forward: 0, ip_forward_update_priority: 1, ip_forward_use_pmtu: 0, ip_local_port_range: [32768, 60999],
    ip_no_pmtu_disc: 0, ip_nonlocal_bind: 0, ip_unprivileged_port_start: 1024, ipfrag_high_thresh: 4194304, ipfrag_low_thresh: 3145728,
    ipfrag_max_dist: 64, ipfrag_time: 30, nexthop_compat_mode: 1, ping_group_range: [1, 0], raw_l3mdev_accept: 1, tcp_abort_on_overflow: 0,
    tcp_adv_win_scale: 1, tcp_app_win: 31, tcp_autocorking: 1, tcp_backlog_ack_defer: 1, tcp_base_mss: 1024, tcp_challenge_ack_limit: 2147483647,
    tcp_comp_sack_delay_ns: 1000000, tcp_comp_sack_nr: 44, tcp_comp_sack_slack_ns: 100000, tcp_dsack: 1, tcp_early_demux: 1, tcp_early_retrans: 3,
    tcp_ecn: 2, tcp_ecn_fallback: 1, tcp_ecn_option: 2, tcp_ecn_option_beacon: 3, tcp_fack: 0, tcp_fastopen: 1, tcp_fastopen_blackhole_timeout_sec: 0,
    tcp_fin_timeout: 60, tcp_frto: 2, tcp_fwmark_accept: 0, tcp_invalid_ratelimit: 500, tcp_keepalive_intvl: 75, tcp_keepalive_probes: 9,
    tcp_keepalive_time: 7200, tcp_l3mdev_accept: 0, tcp_limit_output_bytes: 4194304, tcp_max_reordering: 300, tcp_max_syn_backlog: 2048,
    tcp_max_tw_buckets: 131072, tcp_migrate_req: 0, tcp_min_rtt_wlen: 300, tcp_min_snd_mss: 48, tcp_min_tso_segs: 2, tcp_moderate_rcvbuf: 1,
    tcp_mtu_probe_floor: 48, tcp_mtu_probing: 0, tcp_no_metrics_save: 0, tcp_no_ssthresh_metrics_save: 1, tcp_notsent_lowat: 4294967295,
    tcp_orphan_retries: 0, tcp_pacing_ca_ratio: 120, tcp_pacing_ss_ratio: 200, tcp_pingpong_thresh: 1, tcp_plb_cong_thresh: 128, tcp_plb_enabled: 0,
    tcp_plb_suspend_rto_sec: 60, tcp_probe_interval: 600, tcp_probe_threshold: 8, tcp_recovery: 1, tcp_reflect_tos: 0, tcp_reordering: 3,
    tcp_retrans_collapse: 1, tcp_retries1: 3, tcp_retries2: 15, tcp_rfc1337: 0, tcp_rmem: [4096, 131072, 33554432], tcp_rto_max_ms: 120000,
    tcp_rto_min_us: 200000, tcp_sack: 1, tcp_shrink_window: 0, tcp_slow_start_after_idle: 1, tcp_stdurg: 0, tcp_syn_linear_timeouts: 4,
    tcp_syn_retries: 6, tcp_synack_retries: 5, tcp_syncookies: 1, tcp_thin_linear_timeouts: 0, tcp_timestamps: 1, tcp_tso_rtt_log: 9,
    tcp_tso_win_divisor: 3, tcp_tw_reuse: 2, tcp_tw_reuse_delay: 1000, tcp_window_scaling: 1, tcp_wmem: [4096, 16384, 4194304],
    tcp_workaround_signed_windows: 0, udp_early_demux: 1, udp_l3mdev_accept: 0, udp_rmem_min: 4096, udp_wmem_min: 4096, xfrm4_gc_thresh: 32768,
  },
  'net.ipv4.route.': {
    min_adv_mss: 256, min_pmtu: 552, mtu_expires: 600,
  },
  'net.ipv4.conf.all.': {
    accept_local: 0, accept_redirects: 1, accept_source_route: 0, arp_accept: 0, arp_announce: 0, arp_evict_nocarrier: 1, arp_filter: 0,
    arp_ignore: 0, arp_notify: 0, bc_forwarding: 0, bootp_relay: 0, disable_policy: 0, disable_xfrm: 0, drop_gratuitous_arp: 0,
    drop_unicast_in_l2_multicast: 0, force_igmp_version: 0, forwarding: 0, igmpv2_unsolicited_report_interval: 10000,
    igmpv3_unsolicited_report_interval: 1000, ignore_routes_with_linkdown: 0, log_martians: 0, mc_forwarding: 0, medium_id: 0, promote_secondaries: 0,
    proxy_arp: 0, proxy_arp_pvlan: 0, route_localnet: 0, rp_filter: 0, secure_redirects: 1, send_redirects: 1, shared_media: 1, src_valid_mark: 0,
    tag: 0,
  },
  'net.ipv4.conf.default.': {
    accept_local: 0, accept_redirects: 1, accept_source_route: 1, arp_accept: 0, arp_announce: 0, arp_evict_nocarrier: 1, arp_filter: 0,
    arp_ignore: 0, arp_notify: 0, bc_forwarding: 0, bootp_relay: 0, disable_policy: 0, disable_xfrm: 0, drop_gratuitous_arp: 0,
    drop_unicast_in_l2_multicast: 0, force_igmp_version: 0, forwarding: 0, igmpv2_unsolicited_report_interval: 10000,
    igmpv3_unsolicited_report_interval: 1000, ignore_routes_with_linkdown: 0, log_martians: 0, mc_forwarding: 0, medium_id: 0, promote_secondaries: 0,
    proxy_arp: 0, proxy_arp_pvlan: 0, route_localnet: 0, rp_filter: 0, secure_redirects: 1, send_redirects: 1, shared_media: 1, src_valid_mark: 0,
    tag: 0,
  },
  'net.ipv4.neigh.default.': {
    anycast_delay: 100, app_solicit: 0, base_reachable_time_ms: 30000, delay_first_probe_time: 5, gc_interval: 30, gc_stale_time: 60, gc_thresh1: 128,
    gc_thresh2: 512, gc_thresh3: 1024, interval_probe_time_ms: 5000, locktime: 100, mcast_resolicit: 0, mcast_solicit: 3, proxy_delay: 80,
    proxy_qlen: 64, retrans_time_ms: 1000, ucast_solicit: 3, unres_qlen: 101, unres_qlen_bytes: 212992,
  },
  'net.bridge.': {
    'bridge-nf-call-arptables': 1, 'bridge-nf-call-ip6tables': 1, 'bridge-nf-call-iptables': 1, 'bridge-nf-filter-pppoe-tagged': 0,
    'bridge-nf-filter-vlan-tagged': 0, 'bridge-nf-pass-vlan-input-dev': 0,
  },
  'net.netfilter.': {
    nf_conntrack_acct: 0, nf_conntrack_checksum: 1, nf_conntrack_events: 2, nf_conntrack_expect_max: 4096, nf_conntrack_frag6_high_thresh: 4194304,
    nf_conntrack_frag6_low_thresh: 3145728, nf_conntrack_frag6_timeout: 60, nf_conntrack_generic_timeout: 600, nf_conntrack_gre_timeout: 30,
    nf_conntrack_gre_timeout_stream: 180, nf_conntrack_icmp_timeout: 30, nf_conntrack_icmpv6_timeout: 30, nf_conntrack_log_invalid: 0,
    nf_conntrack_max: 262144, nf_conntrack_sctp_timeout_closed: 10, nf_conntrack_sctp_timeout_cookie_echoed: 3,
    nf_conntrack_sctp_timeout_cookie_wait: 3, nf_conntrack_sctp_timeout_established: 210, nf_conntrack_sctp_timeout_heartbeat_sent: 30,
    nf_conntrack_sctp_timeout_shutdown_ack_sent: 3, nf_conntrack_sctp_timeout_shutdown_recd: 3, nf_conntrack_sctp_timeout_shutdown_sent: 3,
    nf_conntrack_tcp_be_liberal: 0, nf_conntrack_tcp_ignore_invalid_rst: 0, nf_conntrack_tcp_loose: 1, nf_conntrack_tcp_max_retrans: 3,
    nf_conntrack_tcp_timeout_close: 10, nf_conntrack_tcp_timeout_close_wait: 60, nf_conntrack_tcp_timeout_established: 432000,
    nf_conntrack_tcp_timeout_fin_wait: 120, nf_conntrack_tcp_timeout_last_ack: 30, nf_conntrack_tcp_timeout_max_retrans: 300,
    nf_conntrack_tcp_timeout_syn_recv: 60, nf_conntrack_tcp_timeout_syn_sent: 120, nf_conntrack_tcp_timeout_time_wait: 120,
    nf_conntrack_tcp_timeout_unacknowledged: 300, nf_conntrack_timestamp: 0, nf_conntrack_udp_timeout: 30, nf_conntrack_udp_timeout_stream: 120,
    nf_hooks_lwtunnel: 0,
  },
}
