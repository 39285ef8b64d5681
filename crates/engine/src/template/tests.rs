use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Template, TemplateError};

fn container() -> Value {
    json!({
        "Id": "0123456789abcdef",
        "Name": "/web",
        "Args": ["-c", "sleep 1"],
        "State": {"Status": "running", "Running": true, "Paused": false, "Pid": 4711, "ExitCode": 0, "Health": null},
        "Config": {"Image": "debian:12", "Labels": {"a": "1", "b.c": "two"}, "Env": []},
        "Mounts": [
            {"Type": "bind", "Source": "/srv", "Destination": "/data", "RW": true},
            {"Type": "tmpfs", "Source": "", "Destination": "/tmp", "RW": false}
        ],
        "NetworkSettings": {"Networks": {"hull0": {"IPAddress": "10.88.0.2"}, "back": {"IPAddress": "10.89.0.2"}}},
        "Cpus": 1.5
    })
}

fn render(template: &str) -> Result<String, TemplateError> {
    template.parse::<Template>()?.render(&container())
}

#[test]
fn templates_that_people_write_give_what_docker_gives() {
    for (template, expected) in [
        ("", ""),
        ("plain } text {", "plain } text {"),
        ("{{.State.Pid}}", "4711"),
        ("{{ .State.Status }}|{{.Cpus}}", "running|1.5"),
        ("{{.Id}}\\t{{.Name}}\\n", "0123456789abcdef\t/web\n"),
        ("{{json .Args}}", r#"["-c","sleep 1"]"#),
        ("{{json .State.Health}}", "null"),
        ("{{.Args}}", "[-c sleep 1]"),
        ("{{.Config.Labels}}", "map[a:1 b.c:two]"),
        ("{{.State.Health}}", "<no value>"),
        (r#"{{index .Config.Labels "b.c"}}"#, "two"),
        (r#"{{index .Config.Labels "none"}}"#, ""),
        ("{{(index .Mounts 0).Source}}", "/srv"),
        ("{{index .Args 1}}", "sleep 1"),
        (
            "{{len .Mounts}} {{len .Name}} {{len .State.Health}}",
            "2 4 0",
        ),
        ("{{range .Mounts}}{{.Type}} {{end}}", "bind tmpfs "),
        ("{{range .Config.Env}}x{{else}}none{{end}}", "none"),
        (
            "{{range $i, $m := .Mounts}}{{$i}}={{$m.Type}},{{end}}",
            "0=bind,1=tmpfs,",
        ),
        (
            "{{range $m := .Mounts}}{{$m.Type}}{{.Type}},{{end}}",
            "bindbind,tmpfstmpfs,",
        ),
        (
            "{{range $k, $v := .NetworkSettings.Networks}}{{$k}}:{{$v.IPAddress}} {{end}}",
            "back:10.89.0.2 hull0:10.88.0.2 ",
        ),
        (
            "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}",
            "10.89.0.2 10.88.0.2 ",
        ),
        (
            "{{range .Args}}{{$.Name}}{{.}};{{end}}",
            "/web-c;/websleep 1;",
        ),
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        (
            "{{if .State.Paused}}paused{{else if .State.Running}}up{{else}}down{{end}}",
            "up",
        ),
        ("{{if not .State.Running}}down{{end}}", ""),
        (
            "{{if and .State.Running (not .State.Paused)}}up{{end}}",
            "up",
        ),
        (
            "{{if or .State.Paused .State.Health}}x{{else}}y{{end}}",
            "y",
        ),
        (r#"{{if eq .State.Status "exited" "running"}}y{{end}}"#, "y"),
        ("{{if ne .State.ExitCode 0}}bad{{else}}good{{end}}", "good"),
        (
            "{{if and (gt .State.Pid 1) (le .State.Pid 4711)}}y{{end}}",
            "y",
        ),
        ("{{with .State}}{{.Status}}{{end}}", "running"),
        (
            "{{with .State.Health}}{{.Status}}{{else}}none{{end}}",
            "none",
        ),
        ("{{with $s := .State}}{{$s.Pid}}{{end}}", "4711"),
        (r#"{{join .Args " "}}"#, "-c sleep 1"),
        (r#"{{join .Args "\n"}}"#, "-c\nsleep 1"),
        (r#"{{split .Name "e" | json}}"#, r#"["/w","b"]"#),
        (
            "{{.Name | upper}} {{lower .Name}} {{title .State.Status}}",
            "/WEB /web Running",
        ),
        (
            r#"{{printf "%s is %d%%" .Name .State.Pid}}"#,
            "/web is 4711%",
        ),
        (
            r#"{{printf "%-6s|%6s|%06d|%.2f|%q|%v" .Name .Name 42 .Cpus "x" .Args}}"#,
            r#"/web  |  /web|000042|1.50|"x"|[-c sleep 1]"#,
        ),
        (r#"{{.State.Pid | printf "%s:%d" "pid"}}"#, "pid:4711"),
        ("{{println .Name .State.Pid}}", "/web 4711\n"),
        ("{{print 1 2}}{{print `a` `b`}}", "1 2ab"),
        ("{{slice .Id 0 12}}", "0123456789ab"),
        ("{{truncate .Id 4}}{{pad .Name 1 2}}|", "0123 /web  |"),
        ("a  {{- .Name -}}  b", "a/webb"),
        ("a {{- /* a note }} */ -}} b", "ab"),
        ("{{/* a note */}}x", "x"),
        (r#"{{"}}"}}"#, "}}"),
        ("{{`raw \\n`}}", "raw \\n"),
        ("{{$x := .State}}{{$x.Pid}}", "4711"),
        (
            "{{$n := 0}}{{range $i, $m := .Mounts}}{{$n = $i}}{{end}}{{$n}}",
            "1",
        ),
        ("{{and .State.Paused (index .Mounts 9)}}", "false"),
        ("{{true}} {{nil | json}} {{-1.5}}", "true null -1.5"),
    ] {
        assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn labels_of_rows_are_found_by_name() {
    let row = json!({"Labels": "com.example.my-tier=web,list=a,b,empty=,x=1"});
    let heading = json!({"Labels": "LABELS"});
    let none = json!({"Labels": ""});
    for (template, value, expected) in [
        (r#"{{.Label "x"}}"#, &row, "1"),
        (
            r#"{{.Label "list"}}|{{.Label "empty"}}|{{.Label "no"}}"#,
            &row,
            "a,b||",
        ),
        (r#"{{if eq (.Label "x") "1"}}y{{end}}"#, &row, "y"),
        (r#"{{.Label "com.example.my-tier"}}"#, &heading, "my tier"),
        (r#"{{.Label "x"}}"#, &none, ""),
    ] {
        let template: Template = template.parse().unwrap();
        assert_eq!(template.render(value).unwrap(), expected);
    }
}

#[test]
fn faulty_templates_say_what_is_wrong() {
    let mut report = String::new();
    for template in [
        "{{.State.Pdi}}",
        "{{.state}}",
        "{{.Zzz}}",
        "{{.Name.First}}",
        "{{.State.Health.Status}}",
        "{{.Name",
        "{{\"x}}",
        "{{}}",
        "{{if}}x{{end}}",
        "{{if .Name}}x",
        "{{end}}",
        "{{if .Name}}{{else}}{{else}}{{end}}",
        "{{range .Name}}{{end}}",
        "{{range .Args}}{{else if .Name}}{{end}}",
        "{{jsn .}}",
        "{{frobnicate .}}",
        "{{.Name .Id}}",
        "{{.Name | .Id}}",
        "{{$nope}}",
        "{{index .Mounts 2}}",
        "{{index .Mounts \"a\"}}",
        "{{index .Name 0}}",
        "{{len 3}}",
        "{{upper 3}}",
        "{{eq .Name}}",
        "{{eq .State.Pid \"4711\"}}",
        "{{printf \"%s\"}}",
        "{{printf \"x\" 1}}",
        "{{printf \"%y\" 1}}",
        "{{printf \"%d\" .Name}}",
        "{{template \"x\"}}",
        "{{(.Name}}",
        "{{.Name)}}",
        "{{.A ! .B}}",
        "{{'ab}}",
        &"{{if .Name}}".repeat(100),
        &format!("{{{{{}.Name{}}}}}", "(".repeat(100), ")".repeat(100)),
        &format!("{{{{.{}}}}}", "A.".repeat(100)),
    ] {
        let error = render(template).expect_err(template);
        let template: String = template.chars().take(40).collect();
        report.push_str(&format!("{template}\n    {error}\n"));
        if let Some(hint) = error.hint() {
            report.push_str(&format!("    hint: {hint}\n"));
        }
    }
    insta::assert_snapshot!(report);
}

proptest! {
    #[test]
    fn any_text_is_a_template_or_an_error(text in ".{0,60}") {
        if let Ok(template) = text.parse::<Template>() {
            drop(template.render(&container()));
        }
    }

    #[test]
    fn pieces_of_templates_never_panic(words in prop::collection::vec(prop::sample::select(vec![
        "{{", "}}", "{{-", "-}}", "if ", "else", "end", "range ", "with ", ".", ".State", ".Mounts", ".Args", "$", "$x", ":=", "=",
        "|", "(", ")", "\"", "`", "'", "a", "json ", "index ", "printf ", "len ", "slice ", "0", "1", "-1", "9999999999999999999",
        "1e400", "%", "%9999999999999999999d", "%-05.99999999999f", "\\", "é", "/*", "*/", " ", ",", "and ", "truncate ", "pad ", "nil",
    ]), 0..24)) {
        if let Ok(template) = words.concat().parse::<Template>() {
            drop(template.render(&container()));
        }
    }

    #[test]
    fn any_value_can_be_walked(text in ".{0,20}", number: i64, quarters: i32) {
        let value = json!({"a": text, "b": number, "c": f64::from(quarters) / 4.0, "d": [text, number], "e": {"k": null}});
        for template in ["{{.}}", "{{json .}}", "{{range $k, $v := .}}{{$k}}{{printf \"%v %q\" $v $v}}{{end}}", "{{slice .a 1}}",
                         "{{index .d .b}}", "{{truncate .a .b}}", "{{pad .a .b .b}}", "{{lt .b .c}}", "{{title .a}}", "{{.c}}"] {
            let rendered = template.parse::<Template>().unwrap().render(&value);
            if template == "{{json .}}" {
                prop_assert_eq!(serde_json::from_str::<Value>(&rendered.unwrap()).unwrap(), value.clone());
            }
        }
    }
}
