//! Who the app is: docker's `USER` words against the container's own `/etc/passwd` and `/etc/group`.
//!
//! The files are an image's, so they are anybody's: regular files only, bounded, resolved inside the root
//! (CVE-2024-9676). What looks like a number is one, or an error: never a name (CVE-2026-46680), never wrapped
//! (CVE-2024-40635).

use std::path::Path;

use hull_fs::Root;
use hull_spec::runtime::User;
use hull_sys::Errno;

use crate::error::{Failure, Step};

/// Far more than any real file of users has.
const MOST_BYTES: u64 = 4 << 20;

/// Who is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Docker's words; none: the numbers.
    pub(crate) words: Option<String>,
    pub(crate) numbers: User,
}

/// Who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    /// From passwd; `/` for those who are not in it.
    pub(crate) home: String,
}

impl Identity {
    /// Says whether this is root and nothing besides.
    pub(crate) fn is_root(&self) -> bool {
        self.uid == 0 && self.gid == 0 && self.groups.is_empty()
    }
}

impl Wanted {
    /// Finds out, reading the files of the current root only as far as they are needed.
    pub(crate) fn find(&self, needs_home: bool) -> Result<Identity, Failure> {
        if self.words.is_none() && !needs_home {
            return Ok(self.numbered("/".to_owned()));
        }
        let root = Root::open_path(Path::new("/")).map_err(|error| unreadable("/", &error))?;
        let passwd = read(&root, "/etc/passwd")?;
        match &self.words {
            None => {
                let entry = entry_of(&passwd, |user| user.uid == self.numbers.uid);
                let home = entry.map_or("/", |user| user.home);
                Ok(self.numbered(home.to_owned()))
            }
            Some(words) => {
                let group = read(&root, "/etc/group")?;
                let mut identity = identify(words, &passwd, &group)?;
                identity.groups.extend(&self.numbers.additional_gids);
                identity.groups.dedup();
                // Or a set-group-id program would lose the group, and with it what that group is refused (CVE-2022-36109).
                if identity.uid != 0 && !identity.groups.contains(&identity.gid) {
                    identity.groups.insert(0, identity.gid);
                }
                Ok(identity)
            }
        }
    }

    fn numbered(&self, home: String) -> Identity {
        Identity {
            uid: self.numbers.uid,
            gid: self.numbers.gid,
            groups: self.numbers.additional_gids.clone(),
            home,
        }
    }
}

fn read(root: &Root, path: &str) -> Result<String, Failure> {
    match root.read_capped(Path::new(path), MOST_BYTES) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.is_not_found() => Ok(String::new()),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn unreadable(path: &str, error: &hull_fs::FsError) -> Failure {
    Failure::new(Step::FindUser, path, error.errno().unwrap_or(Errno::IO)).detail(error.to_string())
}

/// A line of passwd.
struct PasswdUser<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn entry_of<'a>(
    passwd: &'a str,
    mut wanted: impl FnMut(&PasswdUser<'a>) -> bool,
) -> Option<PasswdUser<'a>> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1).filter(|home| !home.is_empty()).unwrap_or("/");
        let user = PasswdUser {
            name,
            uid,
            gid,
            home,
        };
        wanted(&user).then_some(user)
    })
}

/// A line of group: name, number, members.
fn groups(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some((name, gid, fields.next().unwrap_or("")))
    })
}

/// Understands `user`, `uid`, `user:group`, … Without a group, the user's own groups count; with one, it alone. Groups added
/// to those (`--group-add`) follow, each behind a `+`.
fn identify(words: &str, passwd: &str, group: &str) -> Result<Identity, Failure> {
    let mut parts = words.split('+');
    let whole = words;
    let words = parts.next().unwrap_or_default();
    if words.is_empty() && !whole.is_empty() {
        return Err(Failure::new(Step::FindUser, whole, Errno::INVAL));
    }
    let (user_word, group_word) = words.split_once(':').unwrap_or((words, ""));
    let number = number(user_word, Step::FindUser)?;
    let entry = match (user_word, number) {
        ("", _) => entry_of(passwd, |user| user.uid == 0),
        (_, Some(uid)) => entry_of(passwd, |user| user.uid == uid),
        (name, None) => match entry_of(passwd, |user| user.name == name) {
            None => return Err(Failure::new(Step::FindUser, name, Errno::NOENT)),
            found => found,
        },
    };
    let mut identity = Identity {
        uid: entry.as_ref().map_or(number.unwrap_or(0), |user| user.uid),
        gid: entry.as_ref().map_or(0, |user| user.gid),
        groups: Vec::new(),
        home: entry.as_ref().map_or("/", |user| user.home).to_owned(),
    };
    if group_word.is_empty() {
        if let Some(user) = &entry {
            identity.groups = groups(group)
                .filter(|(_, _, members)| members.split(',').any(|member| member == user.name))
                .map(|(_, gid, _)| gid)
                .collect();
        }
    } else {
        identity.gid = gid_of(group_word, group)?;
    }
    for added in parts {
        identity.groups.push(gid_of(added, group)?);
    }
    Ok(identity)
}

fn gid_of(word: &str, group: &str) -> Result<u32, Failure> {
    if let Some(gid) = number(word, Step::FindGroup)? {
        return Ok(gid);
    }
    groups(group)
        .find(|(name, _, _)| *name == word)
        .map(|(_, gid, _)| gid)
        .ok_or_else(|| Failure::new(Step::FindGroup, word, Errno::NOENT))
}

/// Reads an id; none if the word is a name. What begins like a number and is none, or too large a one, is an error.
fn number(word: &str, step: Step) -> Result<Option<u32>, Failure> {
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match word.parse::<u32>() {
        Ok(id) if digits.len() == word.len() && i32::try_from(id).is_ok() => Ok(Some(id)),
        _ => {
            Err(Failure::new(step, word, Errno::INVAL)
                .detail("ids are numbers from 0 to 2147483647"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
        broken line\n\
        www:x:33:34:Web,,,:/var/www:/sbin/nologin\n\
        homeless:x:50:50:::\n";
    const GROUP: &str = "root:x:0:root\nadm:x:4:www,other\nweb:x:34:\nssl:x:99:other,www\n";

    #[test]
    fn words_mean_what_docker_means() {
        let who = |uid, gid, groups: &[u32], home: &str| Identity {
            uid,
            gid,
            groups: groups.to_vec(),
            home: home.to_owned(),
        };
        for (words, expected) in [
            ("", who(0, 0, &[0], "/root")),
            ("root", who(0, 0, &[0], "/root")),
            ("www", who(33, 34, &[4, 99], "/var/www")),
            ("33", who(33, 34, &[4, 99], "/var/www")),
            ("www:adm", who(33, 4, &[], "/var/www")),
            ("www:7", who(33, 7, &[], "/var/www")),
            ("1234", who(1234, 0, &[], "/")),
            ("1234:99", who(1234, 99, &[], "/")),
            (":web", who(0, 34, &[], "/root")),
            ("homeless", who(50, 50, &[], "/")),
        ] {
            assert_eq!(identify(words, PASSWD, GROUP).unwrap(), expected, "{words}");
        }
    }

    #[test]
    fn what_looks_like_a_number_is_one_or_an_error() {
        for words in [
            "4294967296",
            "2147483648",
            "-1",
            "+5",
            "0:9999999999",
            "0:-3",
        ] {
            let failure = identify(words, PASSWD, GROUP).unwrap_err();
            assert_eq!(failure.errno, Errno::INVAL, "{words}");
        }
        for words in ["nobody", "www:none", "12ab", "broken line"] {
            let failure = identify(words, PASSWD, GROUP).unwrap_err();
            assert_eq!(failure.errno, Errno::NOENT, "{words}");
        }
    }
}
