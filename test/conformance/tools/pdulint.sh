#!/usr/bin/env bash
# pdulint.sh PORT SECONDS -- CMD...   capture lo while CMD runs, then lint the iSCSI PDUs with tshark's dissector
# pdulint.sh PORT FILE.pcapng         lint an existing capture
# Exit 1 when the dissector reports a malformed PDU or a digest error, when packets were dropped, or when fewer
# than MIN_PDUS (default 100) PDUs were seen: an empty capture proves nothing. MIN_DIGESTS (default 0): as many PDUs must
# carry a header digest. (The ?header_digest= of a URL does nothing in libiscsi 1.19's own tools: they set None,CRC32C
# themselves, and a target takes the first. test/support/digest-proxy.ts turns that round.)
set -u; PORT=$1; shift; D=$(mktemp -d /tmp/pdulint.XXXXXX)
if [ -f "$1" ]; then CAP=$1; else
  SEC=$1; shift; [ "$1" = -- ] && shift; CAP=$D/c.pcapng
  dumpcap -q -i lo -B 256 -f "tcp port $PORT" -a duration:"$SEC" -w "$CAP" >"$D/dumpcap.log" 2>&1 & CP=$!
  sleep 1.5; "$@" >"$D/cmd.log" 2>&1; echo "command rc $?"; sleep 1; kill -INT $CP; wait $CP; grep -hE 'received/dropped' "$D/dumpcap.log" || tail -1 "$D/dumpcap.log"
  grep -qE 'dropped on interface.*: [0-9]+/0 ' "$D/dumpcap.log" || { echo "packets were dropped: capture a shorter run"; DROPPED=1; }
fi
TS="tshark -n -r $CAP -d tcp.port==$PORT,iscsi -o tcp.desegment_tcp_streams:TRUE -o iscsi.bogus_pdu_max_data_len:16777216"
# one pass, one row per frame
$TS -Y iscsi -T fields -E separator='|' -E occurrence=a -E aggregator=, -e frame.number -e tcp.srcport -e tcp.stream \
   -e iscsi.opcode -e iscsi.statsn -e iscsi.cmdsn -e iscsi.expcmdsn -e iscsi.maxcmdsn -e iscsi.reject.reason \
   -e _ws.expert.severity -e _ws.expert.message -e _ws.malformed -e iscsi.headerdigest32 2>/dev/null >"$D/rows"
awk -F'|' -v port="$PORT" -v min="${MIN_PDUS:-100}" -v mindig="${MIN_DIGESTS:-0}" '
 { n=split($4,op,","); for(i=1;i<=n;i++) cnt[op[i]]++ }
 $13!="" { dig+=split($13,hd,",") }
 $9!="" { rej[$9]++ }
 # the SCSI sub-dissector calls INQUIRY/VPD data cut by a short ALLOCATION LENGTH malformed: warn only
 $12!="" || $11 ~ /[Mm]alformed/ { if ($4 ~ /0x25|0x05/) { print "warn: SCSI payload malformed/truncated frame " $1; w++ } else { print "MALFORMED frame " $1 ": " $11; bad++ } }
 $11 ~ /[Dd]igest.*(bad|incorrect|invalid)|[Ii]ncorrect/ { print "DIGEST frame " $1 ": " $11; bad++ }
 { m=split($11,ms,","); for(i=1;i<=m;i++) if(ms[i]!="") ex[ms[i]]++ }
 END { for(o in cnt) printf "opcode %-5s %d\n", o, cnt[o]; for(r in rej) printf "reject reason %s x%d\n", r, rej[r];
   for(e in ex) printf "expert x%d %s\n", ex[e], e; for(o in cnt) all+=cnt[o]; if (all < min) { printf "only %d PDUs captured, %d wanted\n", all, min; bad++ }
   printf "%d header digests\n", dig; if (dig < mindig) { printf "only %d header digests, %d wanted\n", dig, mindig; bad++ }
   printf "%d PDUs, %d PDU problems\n", all, bad+0; exit bad>0 }' "$D/rows"; rc=$?
cut -d'|' -f13 "$D/rows" >"$D/digests"
# What the dissector thinks of a digest stands in its text alone. ("bad" by itself is also hexadecimal.)
if grep -q '0x[0-9a-f]*$' "$D/digests"; then
  n=$($TS -V -O iscsi 2>/dev/null | grep -ciE 'digest.*(bad crc|incorrect)'); [ "$n" -gt 0 ] && { echo "$n bad header/data digests"; rc=1; }
fi
[ "${DROPPED:-0}" = 1 ] && rc=1
[ "${KEEP:-0}" = 1 ] && echo "kept $D" || rm -rf "$D"; exit $rc
