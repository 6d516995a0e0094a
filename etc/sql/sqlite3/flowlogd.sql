-- Tables and views for SQLITE3 (flowlogd).   sqlite3 /var/log/ulog/ulogd.db < flowlogd.sql
-- What is there already stays as it is, also the tables of ulogd2, which flowlogd fills as well.
--
-- A column holds the key of its name, with dots for underscores. Add any other key of your stack as a column, or leave
-- some out. Counters have no type, so that values from 2^63 on keep all their digits, as text.

-- Connections: stack=ct1:NFCT,ip2str1:IP2STR,sqlite1:SQLITE3 with table="ulog_ct"
CREATE TABLE IF NOT EXISTS ulog_ct (
  flow_start_sec INTEGER,
  flow_start_usec INTEGER,
  flow_end_sec INTEGER,
  flow_end_usec INTEGER,
  ct_event INTEGER,
  ct_id INTEGER,
  ct_mark INTEGER,
  oob_family INTEGER,
  orig_ip_protocol INTEGER,
  orig_ip_saddr_str TEXT,
  orig_l4_sport INTEGER,
  orig_ip_daddr_str TEXT,
  orig_l4_dport INTEGER,
  orig_raw_pktcount,
  orig_raw_pktlen,
  reply_ip_saddr_str TEXT,
  reply_l4_sport INTEGER,
  reply_ip_daddr_str TEXT,
  reply_l4_dport INTEGER,
  reply_raw_pktcount,
  reply_raw_pktlen,
  icmp_type INTEGER,
  icmp_code INTEGER
);

-- Packets: stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,mac2str1:HWHDR,sqlite1:SQLITE3 with table="ulog_pkt"
CREATE TABLE IF NOT EXISTS ulog_pkt (
  oob_time_sec INTEGER,
  oob_time_usec INTEGER,
  oob_prefix TEXT,
  oob_hook INTEGER,
  oob_mark INTEGER,
  oob_in TEXT,
  oob_out TEXT,
  oob_family INTEGER,
  oob_uid INTEGER,
  oob_gid INTEGER,
  mac_saddr_str TEXT,
  mac_daddr_str TEXT,
  raw_pktlen INTEGER,
  ip_saddr_str TEXT,
  ip_daddr_str TEXT,
  ip_protocol INTEGER,
  ip_tos INTEGER,
  ip_ttl INTEGER,
  ip_totlen INTEGER,
  ip_id INTEGER,
  ip6_payloadlen INTEGER,
  ip6_hoplimit INTEGER,
  ip6_flowlabel INTEGER,
  ip6_nexthdr INTEGER,
  tcp_sport INTEGER,
  tcp_dport INTEGER,
  tcp_seq INTEGER,
  tcp_ackseq INTEGER,
  tcp_window INTEGER,
  tcp_syn INTEGER,
  tcp_ack INTEGER,
  tcp_fin INTEGER,
  tcp_rst INTEGER,
  udp_sport INTEGER,
  udp_dport INTEGER,
  udp_len INTEGER,
  icmp_type INTEGER,
  icmp_code INTEGER,
  icmpv6_type INTEGER,
  icmpv6_code INTEGER
);

-- Counters: stack=acct1:NFACCT,sqlite1:SQLITE3 with table="nfacct"
CREATE TABLE IF NOT EXISTS nfacct (
  sum_name TEXT,
  sum_pkts,
  sum_bytes,
  oob_time_sec INTEGER,
  oob_time_usec INTEGER
);

-- Where events are missing: seconds since 1970, how many, and whether the kernel numbered them or it is an estimate.
CREATE TABLE IF NOT EXISTS flowlogd_gap (
  input TEXT NOT NULL,
  from_sec REAL NOT NULL,
  to_sec REAL NOT NULL,
  lost INTEGER NOT NULL,
  exact INTEGER NOT NULL,
  cause TEXT NOT NULL
);

-- How far each run of flowlogd has written: it changes with the rows, so that each of them comes once.
CREATE TABLE IF NOT EXISTS flowlogd_sender (
  stream char(32) NOT NULL PRIMARY KEY,
  batch bigint NOT NULL,
  output varchar(64),
  updated timestamp DEFAULT CURRENT_TIMESTAMP
);

-- Who had which address in front of NAT, when.
CREATE VIEW IF NOT EXISTS flowlogd_connections AS
  SELECT datetime(flow_start_sec, 'unixepoch') AS began,
         datetime(flow_end_sec, 'unixepoch') AS ended,
         orig_ip_protocol AS protocol,
         orig_ip_saddr_str AS source,
         orig_l4_sport AS source_port,
         orig_ip_daddr_str AS destination,
         orig_l4_dport AS destination_port,
         reply_ip_daddr_str AS translated_source,
         reply_l4_dport AS translated_source_port,
         reply_ip_saddr_str AS translated_destination,
         reply_l4_sport AS translated_destination_port,
         orig_raw_pktlen AS bytes_there,
         reply_raw_pktlen AS bytes_back
    FROM ulog_ct;
