#!/usr/bin/env bash
# Runs libiscsi's iscsi-test-cu family by family, hang-proof. test/conformance/libiscsi.test.ts calls it; it also works by hand.
#
#   test/conformance/tools/libiscsi-families.sh [options] URL [URL2]
#     URL   iscsi://[user%password@]host:port/iqn/lun      (LUN IS DESTROYED)
#     URL2  second path to the SAME logical unit (another director/port); without it
#           URL is used twice, so the MultipathIO family still runs (two sessions).
#   -o FILE   per-test TSV: result, family, test, seconds, detail
#   -l DIR    keep raw logs (default: mktemp, removed when nothing failed)
#   -f GLOB   only families matching GLOB (may be repeated)      -x GLOB  leave out
#   -t SEC    time limit for a family (60)     -T SEC  for a test run alone (15)
#   -1        one process (so one login, one cleanup) per test instead of per family
#   -k FILE   known results: lines "family.test"; their failures do not set the exit code
#   -n        no destructive tests (omit --dataloss)   -S  also allow SANITIZE
#   -R CMD    run CMD when the target has stopped answering, then go on
#   -C CMD    run CMD after every HANG/CRASH (restart the target: a killed test leaves reservations behind)
# Prints one line per test, one per family with counts, last line:
#   N passed, N failed, N skipped     (HANG, CRASH and NOLOGIN count as failed)
# Exit: 0 no unexpected failure, 1 some, 2 target never answered / usage.
set -u
OUT= LOGD= FT=60 TT=15 ONE=0 KNOWN= DL=-d SAN= RESTART= CLEAN= INC=() EXC=()
I1=${I1:-iqn.2026-11.test:conf-a} I2=${I2:-iqn.2026-11.test:conf-b}
CU=${CU:-iscsi-test-cu}
while getopts o:l:f:x:t:T:1k:nSR:C:h c; do case $c in
 o) OUT=$OPTARG;; l) LOGD=$OPTARG;; f) INC+=("$OPTARG");; x) EXC+=("$OPTARG");; t) FT=$OPTARG;;
 T) TT=$OPTARG;; 1) ONE=1;; k) KNOWN=$OPTARG;; n) DL=;; S) SAN=-S;; R) RESTART=$OPTARG;; C) CLEAN=$OPTARG;;
 *) sed -n '2,25p' "$0"; exit 2;; esac; done
shift $((OPTIND-1)); [ $# -ge 1 ] || { sed -n '2,25p' "$0"; exit 2; }
U=$1 U2=${2:-$1}; KEEP=1; [ -n "$LOGD" ] || { LOGD=$(mktemp -d /tmp/conf.XXXXXX); KEEP=0; }
mkdir -p "$LOGD"; [ -n "$OUT" ] || OUT=$LOGD/results.tsv; : >"$OUT"
P=0 F=0 S=0 UNEXP=0 FP=0 FF=0 FS=0

alive() { local n; for n in 1 2 3; do
    timeout -k 1 5 iscsi-inq -i "$I1" "$U" >/dev/null 2>&1 && return 0; sleep 1; done; return 1; }
revive() { alive && return 0; echo "TARGET-DEAD after $1"; [ -n "$RESTART" ] && { eval "$RESTART"; alive; return; }; return 1; }

# log -> "test<TAB>PASS|FAIL|SKIP|OPEN<TAB>detail" ; OPEN = started, never finished
parse() { awk '
 function emit(r) { if (t != "") { if (r=="PASS" && sk != "") { r="SKIP"; d=sk }
     gsub(/[\t\r]/," ",d); printf "%s\t%s\t%s\n", t, r, substr(d,1,150) } t="" }
 /^  Test: / { if (t!="") emit("OPEN"); t=$2; sk=""; d="" ; r0=""; 
     if ($0 ~ /^  Test: [^ ]+ \.\.\.passed/) r0="PASS"; else if ($0 ~ /^  Test: [^ ]+ \.\.\.FAILED/) r0="FAIL" }
 /\[SKIPPED\]/ && sk=="" { sk=$0; sub(/.*\[SKIPPED\] */,"",sk) }
 /\[FAILED\]/  && d==""  { d=$0; sub(/.*\[FAILED\] */,"",d) }
 /(^|[^A-Za-z])passed$/ { if (t!="") r0="PASS" }
 /(^|[^A-Za-z])FAILED$/ { if (t!="") r0="FAIL" }
 /^    [0-9]+\. / { if (r0=="FAIL" && n[t]++==0) d = (d==""?"":d " | ") $2 " " $4 $5 $6 }
 r0=="PASS" { emit("PASS"); r0="" }
 r0=="FAIL" { pend=1 }
 pend && (/^$/ || /^Run Summary/ ) { emit("FAIL"); pend=0; r0="" }
 pend && /^  Test: / && r0!="FAIL" { pend=0 }
 END { if (t!="") emit(r0=="FAIL"?"FAIL":"OPEN") }' "$1"; }

run() { # run NAMEREGEX LIMIT LOG -> rc ; 124/137 = hang
  { timeout -k 2 "$2" stdbuf -oL -eL $CU $DL $SAN -i "$I1" -I "$I2" -t "$1" "$U" "$U2" >"$3" 2>&1 </dev/null; } 2>/dev/null; }

note() { # family test result secs detail
  local f=$1 t=$2 r=$3 s=$4 d=$5
  printf '%-7s %-44s %s\n' "$r" "$f.$t" "$d"; printf '%s\t%s\t%s\t%s\t%s\n' "$r" "$f" "$t" "$s" "$d" >>"$OUT"
  case $r in PASS) FP=$((FP+1));; SKIP) FS=$((FS+1));; *) FF=$((FF+1))
    [ -n "$KNOWN" ] && grep -qxF "$f.$t" "$KNOWN" || UNEXP=$((UNEXP+1));; esac; }

single() { # family test
  local f=$1 t=$2 log=$LOGD/$1.$2.log rc l s0=$SECONDS
  run "ALL.$f.$t" "$TT" "$log"; rc=$?
  l=$(parse "$log" | awk -F'\t' -v t="$t" '$1==t' | head -1)
  local r d; r=$(cut -f2 <<<"$l"); d=$(cut -f3 <<<"$l")
  case $rc in 124|137) r=HANG; d="no end in ${TT}s ${d}";;
   13[0-9]|14[0-9]) r=CRASH; d="iscsi-test-cu died, rc $rc";; esac
  case ${r:-NONE} in NONE) r=NOLOGIN; d=$(grep -v '^ *$' "$log" | tail -1 | cut -c1-120);; OPEN) r=CRASH; d="ended inside the test, rc $rc";; esac
  note "$f" "$t" "$r" $((SECONDS-s0)) "$d"
  case $r in HANG|CRASH) [ -n "$CLEAN" ] && eval "$CLEAN" >/dev/null 2>&1;; esac
  case $r in HANG|CRASH|NOLOGIN) revive "$f.$t";; esac; }

alive || { echo "target does not answer: $U"; exit 2; }
mapfile -t FAMS < <($CU --list 2>/dev/null | awk -F. '$1=="ALL"&&NF==2{print $2}')
for f in "${FAMS[@]}"; do
  ok=1; [ ${#INC[@]} -gt 0 ] && { ok=0; for g in "${INC[@]}"; do [[ $f == $g ]] && ok=1; done; }
  [ ${#EXC[@]} -gt 0 ] && for g in "${EXC[@]}"; do [[ $f == $g ]] && ok=0; done; [ $ok = 1 ] || continue
  FP=0 FF=0 FS=0; mapfile -t TS < <($CU --list | awk -F. -v f="$f" '$1=="ALL"&&$2==f&&NF==3{print $3}')
  if [ $ONE = 0 ]; then
    s0=$SECONDS; run "ALL.$f" "$FT" "$LOGD/$f.log"; rc=$?; parse "$LOGD/$f.log" >"$LOGD/.p"; dt=$((SECONDS-s0))
    case $rc in 124|137|13[0-9]) [ -n "$CLEAN" ] && eval "$CLEAN" >/dev/null 2>&1;; esac
    case $rc in 0) ;; *) [ -s "$LOGD/.p" ] || revive "$f";; esac
  else : >"$LOGD/.p"; rc=0; dt=0; fi
  for t in "${TS[@]}"; do
    l=$(awk -F'\t' -v t="$t" '$1==t' "$LOGD/.p" | head -1)
    case $(cut -f2 <<<"$l") in PASS|FAIL|SKIP) note "$f" "$t" "$(cut -f2 <<<"$l")" "$dt" "$(cut -f3 <<<"$l")";;
      *) single "$f" "$t";; esac      # hung, crashed or never reached in the family run: alone, own limit
  done
  printf -- '-- %-24s %3d passed %3d failed %3d skipped\n' "$f" $FP $FF $FS
  P=$((P+FP)); F=$((F+FF)); S=$((S+FS)); revive "$f" >/dev/null || { echo "TARGET-DEAD after family $f"; }
done
rm -f "$LOGD/.p"; [ $UNEXP -gt 0 ] && echo "logs: $LOGD" || { [ $KEEP = 0 ] && [ "${OUT#$LOGD}" = "$OUT" ] && rm -rf "$LOGD"; }
echo "$P passed, $F failed, $S skipped"
[ $UNEXP -eq 0 ]
