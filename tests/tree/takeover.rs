//! The README's chapter on taking over an existing qmail, every command of it, on a machine whose
//! queue has messages in every state.

use crate::machine::Disk;
use crate::programs::text;
use std::time::Duration;
use tests::ran;

/// A qmail that runs under svscan. Its programs are scripts that become ours, which lie elsewhere:
/// so it can be told which of them are there.
const BEFORE: &str = r#"
mkdir /tmp/bin
mount --move /var/qmail/bin /tmp/bin
ln -s /tmp/bin/* /usr/local/bin/tcp* /usr/local/bin/sv* /usr/src/catena/target/built
cd /var/qmail
for program in /tmp/bin/*; do
  name=${program##*/}
  printf '%s\n' '#!/bin/sh' "exec $program \"\$@\"" >bin/$name
  chmod 755 bin/$name
done
cp -a /tmp/bin/qmail-queue bin/qmail-queue
echo '&joe@example.com' >alias/.qmail-postmaster
echo joe.example:joe >control/virtualdomains
printf '%s\n' '#!/bin/sh' 'exec env - PATH="/var/qmail/bin:$PATH" qmail-start ./Mailbox' >rc
rm -r /service/* boot/*
mkdir -p /service/qmail-send/log /var/log/qmail
printf '%s\n' '#!/bin/sh' 'exec /var/qmail/rc' >/service/qmail-send/run
printf '%s\n' '#!/bin/sh' 'exec multilog t /var/log/qmail' >/service/qmail-send/log/run
chmod 755 rc /service/qmail-send/run /service/qmail-send/log/run

# state NAME: the text of a message. file FOLDER TEXT: another file of it, by its number.
state() {
  printf 'Subject: %s\n\n' "$1" >queue/pid/new
  number=$(stat -c %i queue/pid/new)
  mv queue/pid/new queue/mess/$((number % 23))/$number
  chown qmailq:qmail queue/mess/$((number % 23))/$number
}
file() {
  case $1 in
    info | local | remote) name=$1/$((number % 23))/$number owner=qmails mode=600 ;;
    bounce) name=bounce/$number owner=qmails mode=600 ;;
    *) name=$1/$number owner=qmailq mode=644 ;;
  esac
  printf "$2" >queue/$name
  chown $owner:qmail queue/$name
  chmod $mode queue/$name
}
whole='u0\0p7\0Fjoe@example.com\0Tjoe@example.com\0'
state 'being queued'
state 'being written'; file intd "$whole"
state 'just queued'; file todo "$whole"; file intd "$whole"
state 'half sorted'; file todo "$whole"; file intd "$whole"; file info 'Fx'; file local 'Tx'
state 'sorted'; file info 'Fjoe@example.com\0'; file local 'Tjoe@example.com\0'
state 'half sent'; file info 'Fjoe@example.com\0'; file remote 'Dx@b.example\0Ty@b.example\0'
state 'all failed'; file info 'Fjoe@example.com\0'; file bounce '<z@b.example>:\ngone\n\n'
state 'delivered'; file info 'Fjoe@example.com\0'
find queue/info -type f -exec touch {} +
"#;

/// The old system is started, and what it has not done yet is put in its way again: that it has
/// work while it is taken over.
const START: &str = r#"
sed -i 's/\.\/Mailbox/"|exit 111"/' rc
svscan /service >/tmp/svscan 2>&1 &
soon grep status: /var/log/qmail/current
soon grep 'starting delivery 4' /var/log/qmail/current
sed -i 's/"|exit 111"/.\/Mailbox/' rc
mkdir -p /root
"#;

/// After the new programs have been started: they are, and all mail arrives.
const TAKEN: &str = r#"
set +x
soon sh -c 'readlink /proc/*/exe | grep -x /var/qmail/bin/qmail-send'
soon sh -c 'svc -a /service/qmail-send; test $(grep -c ^Subject: ~joe/Mailbox) -ge 6'
set -x
"#;

/// After the chapter: the old programs are there, with the rest of the mail.
const AFTER: &str = r#"
set +x
soon sh -c 'readlink /proc/*/exe | grep -x /tmp/bin/qmail-send'
echo now:
ls /var/qmail/boot | wc -l
/var/qmail/bin.catena/qmail-qread | grep -a example | tail -n 2
/var/qmail/bin.catena/qmail-qcheck
grep -a ^Subject: ~joe/Mailbox | sort
grep -ac 'being' /var/qmail/queue/mess/*/* | grep -c ':1$'
"#;

const NOW: &str = "\nnow:\n10\n  done\tremote\tx@b.example\n\tremote\ty@b.example\n\
    Subject: all failed\nSubject: failure notice\nSubject: half sorted\nSubject: just queued\nSubject: sorted\n\
    Subject: taken over\n2\n";

/// It waits for itself twice, and for deliveries.
const LIMIT: Duration = Duration::from_secs(90);

/// The commands of the chapter, step by step.
fn steps() -> Vec<String> {
    let readme = text("README.md");
    let (_, chapter) = readme.split_once("## Taking over an existing qmail\n").unwrap();
    let (chapter, _) = chapter.split_once("\n## ").unwrap();
    chapter.split("```\n").skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn an_existing_qmail_is_taken_over_and_given_back() {
    let Some(disk) = Disk::new() else { return };
    let mut steps = steps();
    let started = steps.iter().position(|step| step.starts_with("svc -u ")).unwrap();
    steps.insert(started + 1, TAKEN.into());
    let script = format!("{BEFORE}{START}set -x\n{}{AFTER}", steps.concat());
    let (code, out, err) = ran(&disk.machine().run_within(LIMIT, &script, ""));
    let silent = "+ /var/qmail/bin/instcheck\n+ /var/qmail/bin/qmail-qcheck\n+ svc -u ";
    assert!(code == Some(0) && out.ends_with(NOW) && out.contains(silent), "{code:?} {out}{err}");
}
