-- Tables, views and functions for MYSQL (flowlogd), for a database of their own: functions of the same name are replaced.
--   mariadb flowlogd < flowlogd.sql     as often as you like: data stays
--   GRANT SELECT, INSERT, UPDATE, CREATE, EXECUTE ON flowlogd.* TO ulogd@localhost;
-- Names of tables, columns and functions are those that users of ulogd2 know. The first column is never written.

-- Packets: stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2bin1:IP2BIN,mac2str1:HWHDR,mysql1:MYSQL
--   table="ulog2", procedure="INSERT", or table="ulog", procedure="INSERT_PACKET_FULL"
CREATE TABLE IF NOT EXISTS ulog2 (
  _id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  oob_time_sec int unsigned,
  oob_time_usec int unsigned,
  oob_hook tinyint unsigned,
  oob_prefix varchar(255),
  oob_mark int unsigned,
  oob_in varchar(32),
  oob_out varchar(32),
  oob_family tinyint unsigned,
  ip_saddr_bin binary(16),
  ip_daddr_bin binary(16),
  ip_protocol tinyint unsigned,
  ip_tos tinyint unsigned,
  ip_ttl tinyint unsigned,
  ip_totlen smallint unsigned,
  ip_ihl tinyint unsigned,
  ip_csum smallint unsigned,
  ip_id smallint unsigned,
  ip_fragoff smallint unsigned,
  ip6_payloadlen smallint unsigned,
  ip6_priority tinyint unsigned,
  ip6_hoplimit tinyint unsigned,
  ip6_flowlabel int unsigned,
  ip6_fragoff smallint unsigned,
  ip6_fragid int unsigned,
  tcp_sport smallint unsigned,
  tcp_dport smallint unsigned,
  tcp_seq int unsigned,
  tcp_ackseq int unsigned,
  tcp_window smallint unsigned,
  tcp_urg tinyint,
  tcp_urgp smallint unsigned,
  tcp_ack tinyint,
  tcp_psh tinyint,
  tcp_rst tinyint,
  tcp_syn tinyint,
  tcp_fin tinyint,
  udp_sport smallint unsigned,
  udp_dport smallint unsigned,
  udp_len smallint unsigned,
  icmp_type tinyint unsigned,
  icmp_code tinyint unsigned,
  icmp_echoid smallint unsigned,
  icmp_echoseq smallint unsigned,
  icmp_gateway int unsigned,
  icmp_fragmtu smallint unsigned,
  icmpv6_type tinyint unsigned,
  icmpv6_code tinyint unsigned,
  icmpv6_echoid smallint unsigned,
  icmpv6_echoseq smallint unsigned,
  icmpv6_csum smallint unsigned,
  raw_type smallint unsigned,
  mac_str varchar(255),
  mac_saddr_str varchar(32),
  mac_daddr_str varchar(32),
  oob_protocol smallint unsigned,
  raw_label tinyint unsigned,
  sctp_sport smallint unsigned,
  sctp_dport smallint unsigned,
  sctp_csum int unsigned,
  KEY ulog2_time (oob_time_sec),
  KEY ulog2_saddr (ip_saddr_bin),
  KEY ulog2_daddr (ip_daddr_bin)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE OR REPLACE SQL SECURITY INVOKER VIEW ulog AS SELECT * FROM ulog2;
CREATE OR REPLACE SQL SECURITY INVOKER VIEW view_tcp AS SELECT * FROM ulog2 WHERE ip_protocol = 6;
CREATE OR REPLACE SQL SECURITY INVOKER VIEW view_udp AS SELECT * FROM ulog2 WHERE ip_protocol = 17;
CREATE OR REPLACE SQL SECURITY INVOKER VIEW view_icmp AS SELECT * FROM ulog2 WHERE ip_protocol = 1;
CREATE OR REPLACE SQL SECURITY INVOKER VIEW view_icmpv6 AS SELECT * FROM ulog2 WHERE icmpv6_type IS NOT NULL;

-- Connections: stack=ct1:NFCT,ip2bin1:IP2BIN,mysql1:MYSQL
--   table="ulog2_ct", and procedure="INSERT" or "INSERT_CT" for a row for each event (with hash_enable=1 one for each
--   connection, at its end), "INSERT_OR_REPLACE_CT" for one row that follows the connection
CREATE TABLE IF NOT EXISTS ulog2_ct (
  _ct_id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  oob_family tinyint unsigned,
  orig_ip_saddr_bin binary(16),
  orig_ip_daddr_bin binary(16),
  orig_ip_protocol tinyint unsigned,
  orig_l4_sport smallint unsigned,
  orig_l4_dport smallint unsigned,
  orig_raw_pktlen bigint unsigned,
  orig_raw_pktcount bigint unsigned,
  reply_ip_saddr_bin binary(16),
  reply_ip_daddr_bin binary(16),
  reply_ip_protocol tinyint unsigned,
  reply_l4_sport smallint unsigned,
  reply_l4_dport smallint unsigned,
  reply_raw_pktlen bigint unsigned,
  reply_raw_pktcount bigint unsigned,
  icmp_code tinyint unsigned,
  icmp_type tinyint unsigned,
  ct_mark int unsigned,
  flow_start_sec int unsigned,
  flow_start_usec int unsigned,
  flow_end_sec int unsigned,
  flow_end_usec int unsigned,
  ct_event int unsigned,
  KEY ulog2_ct_end (flow_end_sec),
  KEY ulog2_ct_orig (orig_ip_saddr_bin, orig_l4_sport),
  KEY ulog2_ct_reply (reply_ip_daddr_bin, reply_l4_dport)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE OR REPLACE SQL SECURITY INVOKER VIEW conntrack AS SELECT * FROM ulog2_ct;

-- Counters: stack=acct1:NFACCT,mysql1:MYSQL with table="nfacct", procedure="INSERT"
CREATE TABLE IF NOT EXISTS nfacct (
  _acct_id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  sum_name varchar(128),
  sum_pkts bigint unsigned,
  sum_bytes bigint unsigned,
  oob_time_sec int unsigned,
  oob_time_usec int unsigned,
  KEY nfacct_name (sum_name, oob_time_sec)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- Where events are missing: seconds since 1970, how many, and whether the kernel numbered them or it is an estimate.
CREATE TABLE IF NOT EXISTS flowlogd_gap (
  input varchar(64) NOT NULL,
  from_sec double NOT NULL,
  to_sec double NOT NULL,
  lost bigint unsigned NOT NULL,
  exact tinyint NOT NULL,
  cause varchar(255) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- How far each run of flowlogd has written: it changes with the rows, so that each of them comes once.
CREATE TABLE IF NOT EXISTS flowlogd_sender (
  stream char(32) NOT NULL PRIMARY KEY,
  batch bigint NOT NULL,
  output varchar(64),
  updated timestamp DEFAULT CURRENT_TIMESTAMP
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

DELIMITER $$

-- An address of IP2BIN as text.
DROP FUNCTION IF EXISTS BIN_TO_IP$$
CREATE FUNCTION BIN_TO_IP(address binary(16)) RETURNS varchar(45) DETERMINISTIC NO SQL
RETURN IF(LEFT(address, 12) = UNHEX('00000000000000000000FFFF'), INET_NTOA(CONV(HEX(RIGHT(address, 4)), 16, 10)), INET6_NTOA(address))$$

DROP FUNCTION IF EXISTS INSERT_PACKET_FULL$$
CREATE FUNCTION INSERT_PACKET_FULL(
  _oob_time_sec int unsigned, _oob_time_usec int unsigned, _oob_hook tinyint unsigned, _oob_prefix varchar(255),
  _oob_mark int unsigned, _oob_in varchar(32), _oob_out varchar(32), _oob_family tinyint unsigned,
  _ip_saddr_bin binary(16), _ip_daddr_bin binary(16), _ip_protocol tinyint unsigned, _ip_tos tinyint unsigned,
  _ip_ttl tinyint unsigned, _ip_totlen smallint unsigned, _ip_ihl tinyint unsigned, _ip_csum smallint unsigned,
  _ip_id smallint unsigned, _ip_fragoff smallint unsigned, _ip6_payloadlen smallint unsigned,
  _ip6_priority tinyint unsigned, _ip6_hoplimit tinyint unsigned, _ip6_flowlabel int unsigned,
  _ip6_fragoff smallint unsigned, _ip6_fragid int unsigned, _tcp_sport smallint unsigned,
  _tcp_dport smallint unsigned, _tcp_seq int unsigned, _tcp_ackseq int unsigned, _tcp_window smallint unsigned,
  _tcp_urg tinyint, _tcp_urgp smallint unsigned, _tcp_ack tinyint, _tcp_psh tinyint, _tcp_rst tinyint,
  _tcp_syn tinyint, _tcp_fin tinyint, _udp_sport smallint unsigned, _udp_dport smallint unsigned,
  _udp_len smallint unsigned, _icmp_type tinyint unsigned, _icmp_code tinyint unsigned,
  _icmp_echoid smallint unsigned, _icmp_echoseq smallint unsigned, _icmp_gateway int unsigned,
  _icmp_fragmtu smallint unsigned, _icmpv6_type tinyint unsigned, _icmpv6_code tinyint unsigned,
  _icmpv6_echoid smallint unsigned, _icmpv6_echoseq smallint unsigned, _icmpv6_csum smallint unsigned,
  _raw_type smallint unsigned, _mac_str varchar(255), _mac_saddr_str varchar(32), _mac_daddr_str varchar(32),
  _oob_protocol smallint unsigned, _raw_label tinyint unsigned, _sctp_sport smallint unsigned,
  _sctp_dport smallint unsigned, _sctp_csum int unsigned
) RETURNS bigint unsigned MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
  INSERT INTO ulog2 (
    oob_time_sec, oob_time_usec, oob_hook, oob_prefix, oob_mark, oob_in, oob_out, oob_family, ip_saddr_bin,
    ip_daddr_bin, ip_protocol, ip_tos, ip_ttl, ip_totlen, ip_ihl, ip_csum, ip_id, ip_fragoff, ip6_payloadlen,
    ip6_priority, ip6_hoplimit, ip6_flowlabel, ip6_fragoff, ip6_fragid, tcp_sport, tcp_dport, tcp_seq, tcp_ackseq,
    tcp_window, tcp_urg, tcp_urgp, tcp_ack, tcp_psh, tcp_rst, tcp_syn, tcp_fin, udp_sport, udp_dport, udp_len,
    icmp_type, icmp_code, icmp_echoid, icmp_echoseq, icmp_gateway, icmp_fragmtu, icmpv6_type, icmpv6_code,
    icmpv6_echoid, icmpv6_echoseq, icmpv6_csum, raw_type, mac_str, mac_saddr_str, mac_daddr_str, oob_protocol,
    raw_label, sctp_sport, sctp_dport, sctp_csum
  ) VALUES (
    _oob_time_sec, _oob_time_usec, _oob_hook, _oob_prefix, _oob_mark, _oob_in, _oob_out, _oob_family, _ip_saddr_bin,
    _ip_daddr_bin, _ip_protocol, _ip_tos, _ip_ttl, _ip_totlen, _ip_ihl, _ip_csum, _ip_id, _ip_fragoff,
    _ip6_payloadlen, _ip6_priority, _ip6_hoplimit, _ip6_flowlabel, _ip6_fragoff, _ip6_fragid, _tcp_sport, _tcp_dport,
    _tcp_seq, _tcp_ackseq, _tcp_window, _tcp_urg, _tcp_urgp, _tcp_ack, _tcp_psh, _tcp_rst, _tcp_syn, _tcp_fin,
    _udp_sport, _udp_dport, _udp_len, _icmp_type, _icmp_code, _icmp_echoid, _icmp_echoseq, _icmp_gateway,
    _icmp_fragmtu, _icmpv6_type, _icmpv6_code, _icmpv6_echoid, _icmpv6_echoseq, _icmpv6_csum, _raw_type, _mac_str,
    _mac_saddr_str, _mac_daddr_str, _oob_protocol, _raw_label, _sctp_sport, _sctp_dport, _sctp_csum
  );
  RETURN LAST_INSERT_ID();
END$$

DROP FUNCTION IF EXISTS INSERT_CT$$
CREATE FUNCTION INSERT_CT(
  _oob_family tinyint unsigned, _orig_ip_saddr_bin binary(16), _orig_ip_daddr_bin binary(16),
  _orig_ip_protocol tinyint unsigned, _orig_l4_sport smallint unsigned, _orig_l4_dport smallint unsigned,
  _orig_raw_pktlen bigint unsigned, _orig_raw_pktcount bigint unsigned, _reply_ip_saddr_bin binary(16),
  _reply_ip_daddr_bin binary(16), _reply_ip_protocol tinyint unsigned, _reply_l4_sport smallint unsigned,
  _reply_l4_dport smallint unsigned, _reply_raw_pktlen bigint unsigned, _reply_raw_pktcount bigint unsigned,
  _icmp_code tinyint unsigned, _icmp_type tinyint unsigned, _ct_mark int unsigned, _flow_start_sec int unsigned,
  _flow_start_usec int unsigned, _flow_end_sec int unsigned, _flow_end_usec int unsigned, _ct_event int unsigned
) RETURNS bigint unsigned MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
  INSERT INTO ulog2_ct (
    oob_family, orig_ip_saddr_bin, orig_ip_daddr_bin, orig_ip_protocol, orig_l4_sport, orig_l4_dport,
    orig_raw_pktlen, orig_raw_pktcount, reply_ip_saddr_bin, reply_ip_daddr_bin, reply_ip_protocol, reply_l4_sport,
    reply_l4_dport, reply_raw_pktlen, reply_raw_pktcount, icmp_code, icmp_type, ct_mark, flow_start_sec,
    flow_start_usec, flow_end_sec, flow_end_usec, ct_event
  ) VALUES (
    _oob_family, _orig_ip_saddr_bin, _orig_ip_daddr_bin, _orig_ip_protocol, _orig_l4_sport, _orig_l4_dport,
    _orig_raw_pktlen, _orig_raw_pktcount, _reply_ip_saddr_bin, _reply_ip_daddr_bin, _reply_ip_protocol,
    _reply_l4_sport, _reply_l4_dport, _reply_raw_pktlen, _reply_raw_pktcount, _icmp_code, _icmp_type, _ct_mark,
    _flow_start_sec, _flow_start_usec, _flow_end_sec, _flow_end_usec, _ct_event
  );
  RETURN LAST_INSERT_ID();
END$$

-- The row of a connection is that of the same tuple which has not ended.
DROP FUNCTION IF EXISTS INSERT_OR_REPLACE_CT$$
CREATE FUNCTION INSERT_OR_REPLACE_CT(
  _oob_family tinyint unsigned, _orig_ip_saddr_bin binary(16), _orig_ip_daddr_bin binary(16),
  _orig_ip_protocol tinyint unsigned, _orig_l4_sport smallint unsigned, _orig_l4_dport smallint unsigned,
  _orig_raw_pktlen bigint unsigned, _orig_raw_pktcount bigint unsigned, _reply_ip_saddr_bin binary(16),
  _reply_ip_daddr_bin binary(16), _reply_ip_protocol tinyint unsigned, _reply_l4_sport smallint unsigned,
  _reply_l4_dport smallint unsigned, _reply_raw_pktlen bigint unsigned, _reply_raw_pktcount bigint unsigned,
  _icmp_code tinyint unsigned, _icmp_type tinyint unsigned, _ct_mark int unsigned, _flow_start_sec int unsigned,
  _flow_start_usec int unsigned, _flow_end_sec int unsigned, _flow_end_usec int unsigned, _ct_event int unsigned
) RETURNS bigint unsigned MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
  DECLARE id bigint unsigned;
  SELECT max(_ct_id) INTO id FROM ulog2_ct
   WHERE orig_ip_saddr_bin <=> _orig_ip_saddr_bin AND orig_ip_daddr_bin <=> _orig_ip_daddr_bin AND orig_ip_protocol <=> _orig_ip_protocol
     AND orig_l4_sport <=> _orig_l4_sport AND orig_l4_dport <=> _orig_l4_dport AND NOT ct_event <=> 4;
  IF id IS NULL THEN
    RETURN INSERT_CT(
      _oob_family, _orig_ip_saddr_bin, _orig_ip_daddr_bin, _orig_ip_protocol, _orig_l4_sport, _orig_l4_dport,
      _orig_raw_pktlen, _orig_raw_pktcount, _reply_ip_saddr_bin, _reply_ip_daddr_bin, _reply_ip_protocol,
      _reply_l4_sport, _reply_l4_dport, _reply_raw_pktlen, _reply_raw_pktcount, _icmp_code, _icmp_type, _ct_mark,
      _flow_start_sec, _flow_start_usec, _flow_end_sec, _flow_end_usec, _ct_event
    );
  END IF;
  UPDATE ulog2_ct SET
    oob_family = coalesce(_oob_family, oob_family), orig_raw_pktlen = coalesce(_orig_raw_pktlen, orig_raw_pktlen),
    orig_raw_pktcount = coalesce(_orig_raw_pktcount, orig_raw_pktcount),
    reply_ip_saddr_bin = coalesce(_reply_ip_saddr_bin, reply_ip_saddr_bin),
    reply_ip_daddr_bin = coalesce(_reply_ip_daddr_bin, reply_ip_daddr_bin),
    reply_ip_protocol = coalesce(_reply_ip_protocol, reply_ip_protocol),
    reply_l4_sport = coalesce(_reply_l4_sport, reply_l4_sport),
    reply_l4_dport = coalesce(_reply_l4_dport, reply_l4_dport),
    reply_raw_pktlen = coalesce(_reply_raw_pktlen, reply_raw_pktlen),
    reply_raw_pktcount = coalesce(_reply_raw_pktcount, reply_raw_pktcount),
    icmp_code = coalesce(_icmp_code, icmp_code), icmp_type = coalesce(_icmp_type, icmp_type),
    ct_mark = coalesce(_ct_mark, ct_mark), flow_start_sec = coalesce(_flow_start_sec, flow_start_sec),
    flow_start_usec = coalesce(_flow_start_usec, flow_start_usec),
    flow_end_sec = coalesce(_flow_end_sec, flow_end_sec), flow_end_usec = coalesce(_flow_end_usec, flow_end_usec),
    ct_event = coalesce(_ct_event, ct_event)
   WHERE _ct_id = id;
  RETURN id;
END$$

DROP FUNCTION IF EXISTS INSERT_NFACCT$$
CREATE FUNCTION INSERT_NFACCT(
  _sum_name varchar(128), _sum_pkts bigint unsigned, _sum_bytes bigint unsigned, _oob_time_sec int unsigned,
  _oob_time_usec int unsigned
) RETURNS bigint unsigned MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
  INSERT INTO nfacct (
    sum_name, sum_pkts, sum_bytes, oob_time_sec, oob_time_usec
  ) VALUES (
    _sum_name, _sum_pkts, _sum_bytes, _oob_time_sec, _oob_time_usec
  );
  RETURN LAST_INSERT_ID();
END$$

DELIMITER ;

-- Who had which address in front of NAT, when.
CREATE OR REPLACE SQL SECURITY INVOKER VIEW flowlogd_connections AS
  SELECT FROM_UNIXTIME(flow_start_sec) AS began,
         FROM_UNIXTIME(flow_end_sec) AS ended,
         orig_ip_protocol AS protocol,
         BIN_TO_IP(orig_ip_saddr_bin) AS source,
         orig_l4_sport AS source_port,
         BIN_TO_IP(orig_ip_daddr_bin) AS destination,
         orig_l4_dport AS destination_port,
         BIN_TO_IP(reply_ip_daddr_bin) AS translated_source,
         reply_l4_dport AS translated_source_port,
         BIN_TO_IP(reply_ip_saddr_bin) AS translated_destination,
         reply_l4_sport AS translated_destination_port,
         orig_raw_pktlen AS bytes_there,
         reply_raw_pktlen AS bytes_back
    FROM ulog2_ct;
