# hands.sh: what can be done on the machine of machine.sh with ./example, beside running it.

# soon COMMAND: it succeeds, within ten seconds.
soon() {
  tries=500
  until "$@" >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || { echo "fatal: never true: $*"; cat said; exit 1; }
    sleep 0.02
  done
}

# stays TEXT COMMAND: the example, with the PATH of a run script, prints a text and runs on, while
# the command is done; and ends when it is told to.
stays() {
  PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin ./example <in >said 2>&1 &
  example=$!
  soon grep -e "$1" said
  shift
  kill -0 $example
  "$@" 2>&1 || { cat said; exit 1; }
  kill $example
  wait $example || :
  cat said
}

# host PORT PROGRAM: a server on the hosts that examples ask.
host() { tcpserver -1RHl0 0 "$@" >"/tmp/$1" & soon test -s "/tmp/$1"; }

# inetd COMMAND: runs it for each connection to port 25, with little in its environment.
inetd() { host 25 /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin "$@"; }

# activated COMMAND: is started by systemd, or as systemd would, with a socket for port 25.
activated() {
  listen='tcplisten 0 25'
  ! command -v systemd-socket-activate >/dev/null || listen='systemd-socket-activate -l 25'
  $listen setuidgid qmaild "$@"
}

# A mail server, and somebody who asks for one, or for one to take a letter.
smtp() { host "${1-25}" env RELAYCLIENT= qmail-smtpd; }
ask() { echo QUIT | mconnect 127.0.0.1; }
letter() {
  for line in HELO 'MAIL FROM:<>' 'RCPT TO:<joe@example.com>' DATA '' . QUIT; do
    echo "$line"
    sleep 0.2
  done | mconnect 127.0.0.1
}
ask_as_proxy() {
  printf 'PROXY TCP4 198.51.100.7 192.0.2.1 5632 %s\nQUIT\n' "$2" |
    tcpclient -RHl0 "$1" "$2" mconnect-io
}

# certificate: the mail server's, and its key. user: somebody's, of an authority of its own.
# ask_tls: somebody who asks for one over TLS.
certificate() { openssl_new /etc/ssl/mail.key /etc/ssl/mail.pem mail.example.com; }
user() {
  openssl_new ca.key /etc/ssl/users.pem users
  openssl_new user.key user.pem joe -CA /etc/ssl/users.pem -CAkey ca.key \
    -addext basicConstraints=critical,CA:false
}
openssl_new() {
  key=$1 certificate=$2 name=$3
  shift 3
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
    -subj "/CN=$name" -keyout "$key" -out "$certificate" "$@" 2>/tmp/openssl
}
ask_tls() { echo QUIT | openssl s_client -quiet "$@" -connect 127.0.0.1:465 2>/dev/null; }

# ask_starttls: somebody who asks for it, and then for mail.
ask_starttls() {
  echo QUIT | openssl s_client -quiet -starttls smtp -connect 127.0.0.1:25 2>/dev/null
}

# secured PORT PROGRAM: a server over TLS, with that certificate.
secured() {
  port=$1
  shift
  host "$port" env CERTFILE=/etc/ssl/mail.pem KEYFILE=/etc/ssl/mail.key tlsd "$@"
}

# rules TEXT: the mail server's.
rules() { echo "$1" >/etc/tcp.smtp; tcprules /etc/tcp.smtp.cdb /etc/tcp.smtp.tmp </etc/tcp.smtp; }

# All services run; a program of this name runs.
supervised() {
  svscan /service >/tmp/svscan 2>&1 &
  for name in server echo dns; do
    soon grep up /service/$name/log/main/current
    soon svup /service/$name /service/$name/log
  done
}
runs() { cat /proc/[0-9]*/comm | grep -x "$1"; }
ended() { ! runs "$1"; }

# password USER: it is "secret" (by DES, which is quick).
password() { sed -i "s/^$1:x:/$1:abNANd1rDfiNc:/" /etc/passwd; }

# deliver: a message, as joe's .qmail-default says.
deliver() {
  cp example ~joe/.qmail-default
  chown joe ~joe/.qmail-default
  chmod 600 ~joe/.qmail-default
  setuidgid joe qmail-local joe ~joe joe-x - x example.com me@example.net ./Mailbox <message
}

# queued NAME: a message by this name. waiting: who gets the messages that wait.
queued() { cp message /var/qmail/queue/mess/"$1"; chown qmailq /var/qmail/queue/mess/"$1"; }
waiting() { cat /var/qmail/queue/todo/* | tr '\0' '\n'; }

# A whole qmail, with a message to you@b.example that is deferred.
qmail() {
  qmail-start ./Mailbox >/tmp/qmail 2>&1 &
  echo 'To: you@b.example' | qmail-inject
  soon grep deferral /tmp/qmail
}

# logged: a connection to a server whose log is in /var/log/smtpd.
logged() {
  mkdir /var/log/smtpd
  tcpserver -vRHl0 0 25 date 2>&1 | multilog t /var/log/smtpd &
  soon tcpcat 127.0.0.1 25
  soon grep end /var/log/smtpd/current
  cp /var/log/smtpd/current /var/log/smtpd/@old.s
}
