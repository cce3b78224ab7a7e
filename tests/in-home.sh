#!/bin/sh
# in-home.sh: run a program of another qmail in a home of a test.
#
# `make test-mail UNDER_TEST=...` puts a copy of this in the place of each program, and the
# programs themselves into `real`. They have their home built in: where a test has one of its own
# ($QMAILHOME), that is mounted over it, for this process and its children.
real=$(/usr/bin/readlink -f "$0")
real=${real%/*}/real/${0##*/}
home=HOME_UNDER_TEST
if [ -z "$QMAILHOME" ] || [ ! -d "$QMAILHOME" ] || [ "$QMAILHOME" -ef $home ]; then
  exec "$real" "$@"
fi
if [ "$(/usr/bin/id -u)" = 0 ]; then
  exec /usr/bin/unshare -m /bin/sh -c '/bin/mount --bind "$QMAILHOME" "$0" && exec "$@"' \
    $home "$real" "$@"
fi
# An ordinary user may mount in a user namespace, and is to have no more rights than before.
exec /usr/bin/unshare -c -m --keep-caps /bin/sh -c '/bin/mount --bind "$QMAILHOME" "$0" && exec "$@"' \
  $home /usr/bin/setpriv --inh-caps -all --ambient-caps -all "$real" "$@"
