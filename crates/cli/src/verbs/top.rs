use std::process::ExitCode;

use hull_engine::{near::near, request::InvalidRequest};
use serde_json::Value;

use super::Perform;
use crate::{
    Failure, UsageError,
    args::{Globals, Top},
    format::List,
    output, usage,
};

/// What `top` prints.
const LIST: List = List {
    fields: &[
        ("UID", "UID"),
        ("PID", "PID"),
        ("PPID", "PPID"),
        ("NSPID", "NSPID"),
        ("C", "C"),
        ("STIME", "STIME"),
        ("TTY", "TTY"),
        ("TIME", "TIME"),
        ("STAT", "STAT"),
        ("RSS", "RSS"),
        ("VSZ", "VSZ"),
        ("NLWP", "NLWP"),
        ("COMM", "COMM"),
        ("CMD", "CMD"),
    ],
    usual: r"{{.UID}}\t{{.PID}}\t{{.PPID}}\t{{.C}}\t{{.STIME}}\t{{.TTY}}\t{{.TIME}}\t{{.CMD}}",
};
/// The fields of `ps aux` that Hull has.
const AUX: &str = "uid,pid,vsz,rss,tty,stat,stime,time,cmd";

impl Perform for Top {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let template = template(&self.ps)?;
        let engine = globals.engine()?;
        let listed = engine.find(self.container.as_str())?;
        let rows: Vec<Value> = engine
            .top(&listed)?
            .into_iter()
            .map(|process| serde_json::to_value(process).unwrap_or_default())
            .collect();
        let format = self.format.or(template);
        output::print(&LIST.text(format.as_deref(), &rows)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Says which fields options of `ps` ask for; nothing for the usual ones.
fn template(words: &[String]) -> Result<Option<String>, UsageError> {
    let joined = words.join(" ");
    let fields = match joined.as_str() {
        "" | "-ef" | "-e" | "-f" | "ef" => return Ok(None),
        "aux" | "-aux" | "axu" | "u" => AUX,
        other => other
            .strip_prefix("-eo")
            .or_else(|| other.strip_prefix("-o"))
            .or_else(|| other.strip_prefix("o "))
            .map(str::trim)
            .ok_or_else(|| UsageError::Words {
                verb: "top".to_owned(),
                problem: format!("does not know `{other}`"),
                hint: "-o and fields between commas, such as -o pid,rss,cmd".to_owned(),
            })?,
    };
    let fields: Result<Vec<String>, UsageError> = fields.split([',', ' ']).map(field).collect();
    Ok(Some(format!("table {}", fields?.join("\t"))))
}

fn field(word: &str) -> Result<String, UsageError> {
    let upper = match word {
        "user" => "UID".to_owned(),
        "args" | "command" => "CMD".to_owned(),
        "start" | "start_time" => "STIME".to_owned(),
        "rssize" => "RSS".to_owned(),
        "state" | "s" => "STAT".to_owned(),
        other => other.to_ascii_uppercase(),
    };
    if LIST.fields.iter().any(|(name, _)| *name == upper) {
        return Ok(format!("{{{{.{upper}}}}}"));
    }
    let error = InvalidRequest::NoSuch {
        what: "field of processes",
        word: word.to_owned(),
        known: "uid, pid, ppid, nspid, c, stime, tty, time, stat, rss, vsz, nlwp, comm, cmd",
        near: near(&upper, LIST.fields.iter().map(|(name, _)| *name)),
    };
    Err(usage::wrong("-o", word, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_ps_choose_fields() {
        let asked = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            template(&words)
        };
        assert_eq!(asked(&[]).unwrap(), None);
        assert_eq!(asked(&["-ef"]).unwrap(), None);
        let some = Some("table {{.PID}}\t{{.CMD}}".to_owned());
        assert_eq!(asked(&["-o", "pid,args"]).unwrap(), some);
        assert_eq!(asked(&["-eo", "pid,cmd"]).unwrap(), some);
        assert!(asked(&["aux"]).unwrap().is_some());
        assert!(asked(&["-o", "pit"]).is_err());
        assert!(asked(&["--forest"]).is_err());
    }
}
