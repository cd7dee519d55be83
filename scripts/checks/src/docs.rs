// SPDX-License-Identifier: GPL-2.0

//! The documents as HTML: the guide, the soundness arguments and the other pages by Sphinx, the
//! reference by rustdoc, with links between both.

use crate::{api, patches};
use anyhow::{Context, Result};
use front::{build::Build, outcome::Outcome, setup::Tools, step, tree};
use regex::{Captures, Regex};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Component, Path, PathBuf},
    process::Command,
};

/// The pages of the repository, in the kernel's tree.
const SOURCE: &str = "Documentation/rust/task-mm";
/// The directory of these pages in the output, and that of the reference.
const PAGES: &str = "task-mm";
const REFERENCE: &str = "rustdoc";
/// The page with all crates, of which there is one.
const FORWARD: &str = "<!DOCTYPE html><title>kernel</title>\
    <meta http-equiv=\"refresh\" content=\"0; url=kernel/index.html\">\
    <a href=\"kernel/index.html\">kernel</a>\n";
/// How many broken links are named.
const NAMED: usize = 20;

/// Returns a command that runs Sphinx, in which each warning is an error. `tree` has its extensions.
pub fn sphinx(tree: &Path) -> Command {
    let mut sphinx = Command::new("sphinx-build");
    sphinx
        .args(["-W", "--keep-going", "-q", "-b", "html"])
        .env("PYTHONPATH", tree.join("Documentation/sphinx"))
        // The directory may be a link to the published source, which is never written to.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("LC_ALL", "C.UTF-8");
    sphinx
}

/// Builds all documents, and checks their links.
pub fn all(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let mut rustdoc = api::rustdoc(build, tools);
    step::run("rustdoc", &build.log("rustdoc"), &mut rustdoc)?;
    let index = pages(build, outcome)?;
    println!("{}", index.display());
    Ok(())
}

/// Builds the pages beside the reference, which rustdoc has generated, and checks their links. Returns
/// the first page.
pub fn pages(build: &Build, outcome: &mut Outcome) -> Result<PathBuf> {
    let name = build.objects.file_name().context("no directory")?;
    let folder = build.out.join("docs").join(name);
    // Pages that have been removed would still be linked to.
    for part in [PAGES, REFERENCE] {
        let _ = fs::remove_dir_all(folder.join(part));
    }
    fs::create_dir_all(&folder)?;

    let reference = build.objects.join("Documentation/output/rust/rustdoc");
    copy(&reference, &folder.join(REFERENCE))?;
    // rustdoc's own pages lead to a page with all crates, which only cargo has.
    fs::write(folder.join(REFERENCE).join("index.html"), FORWARD)?;

    let version = patches::version(&build.tree)?;
    let documentation = build.tree.join("Documentation");
    let mut command = sphinx(&build.tree);
    command
        // The kernel's own configuration, which looks for these.
        .arg("-c")
        .arg(&documentation)
        .env("srctree", &build.tree)
        .env("BUILDDIR", &folder)
        .arg(format!("-Dkerneldoc_srctree={}", build.tree.display()))
        .args(["-t", "rustdoc", "-D"])
        .arg(format!("version={version}"))
        .arg("-D")
        .arg(format!("release={version}"))
        .arg("-d")
        .arg(build.out.join("sphinx").join("doctrees").join(name))
        .arg(build.tree.join(SOURCE))
        .arg(folder.join(PAGES))
        .current_dir(&documentation);
    step::run("sphinx", &build.log("docs"), &mut command)?;

    let items = Items::find(&folder)?;
    let ours = modules(build)?;
    let links = link_pages(&folder, &items, &ours)?;
    let back = link_reference(build, &folder, &items, &ours)?;
    let first = folder.join("index.html");
    fs::write(&first, index(&version))?;

    outcome.check("the pages link to the reference", links > 0, "no link");
    outcome.check("the reference links to the pages", back > 0, "no link");
    let (checked, broken) = check(&folder)?;
    let mut named: Vec<_> = broken.iter().take(NAMED).cloned().collect();
    if broken.len() > NAMED {
        named.push(format!("and {} more", broken.len() - NAMED));
    }
    outcome.report(
        "each link leads to a page and a place that exist",
        broken.is_empty(),
        &named.join("; "),
    );
    println!("{links} links to the reference, {back} back, {checked} links checked");
    Ok(first)
}

/// Copies a directory.
fn copy(from: &Path, to: &Path) -> Result<()> {
    for file in tree::walk(from)? {
        let at = to.join(file.strip_prefix(from)?);
        fs::create_dir_all(at.parent().context("no parent")?)?;
        fs::copy(&file, &at).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

/// The first page.
fn index(version: &str) -> String {
    let mut rows = String::new();
    for (at, title, what) in [
        (
            "task-mm/guide/index.html",
            "Guide",
            "which type, lock and hook; complete modules; from C to Rust; debugging",
        ),
        (
            "task-mm/soundness/index.html",
            "Soundness",
            "why the fact that a type stands for is true",
        ),
        (
            "task-mm/coverage.html",
            "Coverage",
            "what drivers use in C, and what the crate has of it",
        ),
        (
            "task-mm/index.html",
            "All pages",
            "series, architectures, configurations, patches",
        ),
        (
            "rustdoc/kernel/index.html",
            "Reference",
            "the crate, by rustdoc",
        ),
        ("rustdoc/kernel/task/index.html", "kernel::task", "tasks"),
        (
            "rustdoc/kernel/mm/index.html",
            "kernel::mm",
            "address spaces, VMAs, page faults, pins",
        ),
        (
            "rustdoc/kernel/pid/index.html",
            "kernel::pid",
            "<code>struct pid</code>",
        ),
        (
            "rustdoc/kernel/pid_namespace/index.html",
            "kernel::pid_namespace",
            "PID namespaces",
        ),
        (
            "rustdoc/kernel/kthread/index.html",
            "kernel::kthread",
            "kthreads and their workers",
        ),
    ] {
        rows += &format!("<tr><td><a href=\"{at}\">{title}</a></td><td>{what}</td></tr>\n");
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <title>Tasks, address spaces and PID namespaces in Rust</title>\n\
         <style>body {{ font-family: sans-serif; max-width: 50em; margin: 2em auto; }}\n\
         td {{ padding: 0.3em 1em 0.3em 0; vertical-align: top; }}</style></head><body>\n\
         <h1>Tasks, address spaces and PID namespaces in Rust</h1>\n\
         <p>Linux {version}</p>\n<table>\n{rows}</table>\n</body></html>\n"
    )
}

/// Returns the modules of this repository's files in the crate, such as `mm/virt`.
fn modules(build: &Build) -> Result<BTreeSet<PathBuf>> {
    let files = tree::files(build)?.into_keys();
    let modules = files.filter_map(|file| {
        let module = file.strip_prefix("rust/kernel").ok()?.with_extension("");
        (file.extension()? == "rs").then_some(module)
    });
    Ok(modules.collect())
}

/// A page of the reference about one item.
struct Item {
    /// The path below the output.
    page: PathBuf,
    /// The anchors in it.
    ids: BTreeSet<String>,
    /// Those that are not about what the type dereferences to, which has a page of its own.
    own: BTreeSet<String>,
}

/// The pages of the reference.
struct Items {
    /// By the name of the item.
    named: BTreeMap<String, Vec<Item>>,
}

impl Items {
    /// Finds the pages of the reference.
    fn find(folder: &Path) -> Result<Self> {
        let mut named: BTreeMap<String, Vec<Item>> = BTreeMap::new();
        let krate = folder.join(REFERENCE).join("kernel");
        for file in tree::walk(&krate)? {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let parts: Vec<_> = name.split('.').collect();
            let [kind, item, "html"] = parts[..] else {
                continue;
            };
            if !["struct", "trait", "enum", "union", "macro", "fn", "type"].contains(&kind) {
                continue;
            }
            let key = match kind {
                "macro" => format!("{item}!"),
                "fn" => format!("{item}()"),
                _ => item.to_owned(),
            };
            let text = fs::read_to_string(&file)?;
            // The page of a macro that has moved only leads to the other page.
            if text.contains("http-equiv=\"refresh\"") {
                continue;
            }
            named.entry(key).or_default().push(Item {
                page: file.strip_prefix(folder)?.to_owned(),
                ids: ids(&text),
                own: ids(text
                    .split(" id=\"deref-methods-")
                    .next()
                    .unwrap_or_default()),
            });
        }
        Ok(Self { named })
    }

    /// Returns the only page of this name in one of the modules, or the only one at all.
    fn one(&self, name: &str, ours: &BTreeSet<PathBuf>) -> Option<&Item> {
        let all = self.named.get(name)?;
        // An alias may have the name of a struct.
        let is_alias = |item: &&Item| item.page.to_string_lossy().contains("/type.");
        let own: Vec<_> = all.iter().filter(|item| item.is_in(ours)).collect();
        if own.is_empty() {
            return only(&all.iter().collect::<Vec<_>>());
        }
        let named: Vec<_> = own.iter().copied().filter(|item| !is_alias(item)).collect();
        only(&own).or_else(|| only(&named))
    }

    /// Returns the only page in one of the modules that has a method of this name.
    fn method(&self, name: &str, ours: &BTreeSet<PathBuf>) -> Option<(&Item, String)> {
        let anchors = [format!("method.{name}"), format!("tymethod.{name}")];
        let mut found = self.named.values().flatten().filter_map(|item| {
            let id = anchors.iter().find(|id| item.own.contains(*id))?;
            item.is_in(ours).then_some((item, id.clone()))
        });
        match (found.next(), found.next()) {
            (Some(one), None) => Some(one),
            _ => None,
        }
    }

    /// Returns the page and the anchor for a piece of code, such as `ARef<Task>`, `Task::pid()` or
    /// `vmf.data()`. A function without a type or a value may be that of C, and has none.
    fn of(&self, code: &str, ours: &BTreeSet<PathBuf>) -> Option<(PathBuf, Option<String>)> {
        let code = code.trim_start_matches(['&', '*']);
        let code = code.strip_prefix("mut ").unwrap_or(code);
        let code = code.strip_prefix("impl ").unwrap_or(code);
        let code = code
            .strip_prefix("ARef<")
            .and_then(|inner| inner.strip_suffix('>'))
            .unwrap_or(code);
        let end = code.find(|c: char| !c.is_alphanumeric() && c != '_');
        let (name, rest) = code.split_at(end.unwrap_or(code.len()));
        let plain = |item: &Item| Some((item.page.clone(), None));
        if let Some(rest) = rest.strip_prefix('!') {
            let item = self.one(&format!("{name}!"), ours)?;
            // current!().mm() is about the method.
            return match rest.rfind(").") {
                Some(_) => self.last_method(rest, ours),
                None => plain(item),
            };
        }
        // A function of a module, such as task::schedule().
        if let Some(function) = rest.strip_prefix("::") {
            if name.starts_with(char::is_lowercase) {
                let end = function.find(|c: char| !c.is_alphanumeric() && c != '_');
                let (function, rest) = function.split_at(end.unwrap_or(function.len()));
                let item = self.one(&format!("{function}()"), ours);
                return item.filter(|_| rest.starts_with('(')).and_then(plain);
            }
        }
        if name.starts_with(char::is_uppercase) {
            let item = self.one(name, ours)?;
            let rest = rest.trim_start_matches("<").trim_start_matches("'_, ");
            let Some((_, member)) = rest.split_once("::") else {
                return plain(item);
            };
            let end = member.find(|c: char| !c.is_alphanumeric() && c != '_');
            let member = &member[..end.unwrap_or(member.len())];
            let id = [
                "method",
                "tymethod",
                "variant",
                "associatedconstant",
                "associatedtype",
            ]
            .iter()
            .map(|kind| format!("{kind}.{member}"))
            .find(|id| item.ids.contains(id));
            return Some((item.page.clone(), id));
        }
        self.last_method(code, ours)
    }

    /// Returns the page of the last method that is called by `code`.
    fn last_method(
        &self,
        code: &str,
        ours: &BTreeSet<PathBuf>,
    ) -> Option<(PathBuf, Option<String>)> {
        let call = Regex::new(r"\.([a-z_0-9]+)(::<[^>]*>)?\(").ok()?;
        let name = call.captures_iter(code).last()?.get(1)?.as_str();
        let (item, id) = self.method(name, ours)?;
        Some((item.page.clone(), Some(id)))
    }
}

/// Returns the item if there is only one.
fn only<'a>(all: &[&'a Item]) -> Option<&'a Item> {
    match all {
        [one] => Some(one),
        _ => None,
    }
}

impl Item {
    /// Returns whether the item is in one of the modules of the crate, or below it.
    fn is_in(&self, ours: &BTreeSet<PathBuf>) -> bool {
        let module = self.page.strip_prefix(Path::new(REFERENCE).join("kernel"));
        let module = module.ok().and_then(Path::parent);
        module.is_some_and(|module| ours.contains(module) || module == Path::new(""))
    }
}

/// Returns the anchors of a page.
fn ids(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for part in text.split(" id=\"").skip(1) {
        if let Some((id, _)) = part.split_once('"') {
            found.insert(decoded(&plain(id)));
        }
    }
    for part in text.split(" name=\"").skip(1) {
        if let Some((id, _)) = part.split_once('"') {
            found.insert(decoded(&plain(id)));
        }
    }
    found
}

/// Replaces the entities of HTML.
fn plain(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&#x27;", "'")
        .replace("&amp;", "&")
}

/// Returns the path from the page `from` to `to`, both below the output.
fn relative(from: &Path, to: &Path) -> String {
    let up = from.components().count() - 1;
    format!("{}{}", "../".repeat(up), to.display())
}

/// Makes links of the code in the pages that names items of the reference. Returns how many.
fn link_pages(folder: &Path, items: &Items, ours: &BTreeSet<PathBuf>) -> Result<usize> {
    let code = Regex::new(
        r#"(?s)<a [^>]*>.*?</a>|<code class="docutils literal notranslate">(.*?)</code>"#,
    )?;
    let tag = Regex::new("<[^>]*>")?;
    let mut links = 0;
    for file in tree::walk(&folder.join(PAGES))? {
        if file.extension().is_none_or(|e| e != "html") {
            continue;
        }
        let at = file.strip_prefix(folder)?.to_owned();
        let text = fs::read_to_string(&file)?;
        let linked = code.replace_all(&text, |found: &Captures<'_>| {
            let whole = found[0].to_owned();
            let Some(inner) = found.get(1) else {
                return whole;
            };
            let inner = plain(&tag.replace_all(inner.as_str(), ""));
            let Some((page, id)) = items.of(&inner, ours) else {
                return whole;
            };
            links += 1;
            let id = id.map(|id| format!("#{id}")).unwrap_or_default();
            format!("<a href=\"{}{id}\">{whole}</a>", relative(&at, &page))
        });
        step::write_if_changed(&file, &linked)?;
    }
    Ok(links)
}

/// Returns the types of the table of the soundness arguments, each with its page.
fn arguments(build: &Build) -> Result<Vec<(String, String)>> {
    let text = fs::read_to_string(build.root.join(SOURCE).join("soundness/index.rst"))?;
    let name = Regex::new(r"``(?:ARef<)?([A-Z]\w+)")?;
    let mut found = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("``")) {
        let Some((types, page)) = line.split_once(":doc:`") else {
            continue;
        };
        // The first column; a row may have two types.
        let types = types.split("  ").next().unwrap_or_default();
        for name in name.captures_iter(types) {
            found.push((name[1].to_owned(), page.trim_end_matches('`').to_owned()));
        }
    }
    Ok(found)
}

/// Makes the links of the reference lead to the pages, and adds one from each type to the argument why
/// it is sound. Returns how many.
fn link_reference(
    build: &Build,
    folder: &Path,
    items: &Items,
    ours: &BTreeSet<PathBuf>,
) -> Result<usize> {
    let mut argument: HashMap<&Path, String> = HashMap::new();
    let rows = arguments(build)?;
    for (name, page) in &rows {
        if let Some(item) = items.one(name, ours) {
            argument.insert(&item.page, format!("{PAGES}/soundness/{page}.html"));
        }
    }
    // The kernel's Makefile has replaced `srctree` by its path.
    let source = Regex::new(r##"href="[^"]*/Documentation/rust/task-mm/([^"#]*)\.rst"##)?;
    let mut links = 0;
    for file in tree::walk(&folder.join(REFERENCE).join("kernel"))? {
        if file.extension().is_none_or(|e| e != "html") {
            continue;
        }
        let at = file.strip_prefix(folder)?.to_owned();
        let text = fs::read_to_string(&file)?;
        let mut linked = source
            .replace_all(&text, |found: &Captures<'_>| {
                links += 1;
                let page = format!("{PAGES}/{}.html", &found[1]);
                format!("href=\"{}", relative(&at, Path::new(&page)))
            })
            .into_owned();
        if let Some(page) = argument.get(&*at) {
            let page = relative(&at, Path::new(page));
            let link = format!("<p><a href=\"{page}\">Why this is sound</a></p>");
            let heading = "<pre class=\"rust item-decl\">";
            if linked.contains(heading) {
                links += 1;
                linked = linked.replacen(heading, &format!("{link}{heading}"), 1);
            }
        }
        step::write_if_changed(&file, &linked)?;
    }
    Ok(links)
}

/// Checks the links of all pages of a directory. Returns how many there are, and those that lead nowhere.
///
/// Of the links within the reference, only the pages must exist. rustdoc copies the documentation of core
/// into them, with links to crates that are not part of the reference, and anchors that it hides.
fn check(folder: &Path) -> Result<(usize, Vec<String>)> {
    let link = Regex::new(r#" (?:href|src|data)="([^"]*)""#)?;
    let scheme = Regex::new("^[a-z]+:")?;
    let reference = folder.join(REFERENCE);
    let krate = reference.join("kernel");
    let mut known: HashMap<PathBuf, Option<BTreeSet<String>>> = HashMap::new();
    let (mut checked, mut broken) = (0, BTreeSet::new());
    for file in tree::walk(folder)? {
        if file.extension().is_none_or(|e| e != "html") {
            continue;
        }
        let text = fs::read_to_string(&file)?;
        for found in link.captures_iter(&text) {
            let to = plain(&found[1]);
            if to.is_empty() || scheme.is_match(&to) {
                continue;
            }
            let (path, mut id) = to.split_once('#').unwrap_or((&to, ""));
            let path = decoded(path.split('?').next().unwrap_or_default());
            let mut target = match &*path {
                "" => file.clone(),
                path => normal(&file.with_file_name("").join(path)),
            };
            if target.starts_with(folder) && target.is_dir() {
                target.push("index.html");
            }
            if file.starts_with(&reference) && target.starts_with(&reference) {
                let is_page = target.extension().is_some_and(|e| e == "html");
                if !is_page || !target.starts_with(&krate) {
                    continue;
                }
                id = "";
            }
            checked += 1;
            let ids = known.entry(target.clone()).or_insert_with(|| {
                let is_page = target.extension().is_some_and(|e| e == "html");
                match is_page {
                    true => fs::read_to_string(&target).ok().map(|text| ids(&text)),
                    false => target.exists().then(BTreeSet::new),
                }
            });
            let is_there = match ids {
                None => false,
                Some(ids) => id.is_empty() || ids.contains(&decoded(id)),
            };
            if !is_there {
                let from = file.strip_prefix(folder)?.display();
                broken.insert(format!("{from}: {to}"));
            }
        }
    }
    Ok((checked, broken.into_iter().collect()))
}

/// Removes `..` from a path.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            part => out.push(part),
        }
    }
    out
}

/// Decodes `%20` and the like.
fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut rest = bytes.clone();
        let digits = (byte == b'%').then(|| [rest.next(), rest.next()]);
        let value = match digits {
            Some([Some(high), Some(low)]) => {
                let digits = String::from_utf8_lossy(&[high, low]).into_owned();
                u8::from_str_radix(&digits, 16).ok()
            }
            _ => None,
        };
        match value {
            Some(value) => {
                out.push(value);
                bytes = rest;
            }
            None => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::env;

    fn write(folder: &Path, at: &str, text: &str) {
        let file = folder.join(at);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// Creates an output with one page and a reference.
    fn output(name: &str) -> PathBuf {
        let folder = env::temp_dir().join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let code = |text: &str| {
            format!("<code class=\"docutils literal notranslate\"><span class=\"pre\">{text}</span></code>")
        };
        let page = format!(
            "<p id=\"a\">{} {} {} {} {} {} <a href=\"#a\">{}</a></p>",
            code("ARef&lt;Mm&gt;"),
            code("mm.mmget_not_zero()"),
            code("mmget_not_zero()"),
            code("Mm::mmget_not_zero()"),
            code("current!()"),
            code("mm::f()"),
            code("Mm")
        );
        write(&folder, "task-mm/guide/a.html", &page);
        let item = "<h1 id=\"top\"></h1><i id=\"method.mmget_not_zero\"></i>";
        write(&folder, "rustdoc/kernel/mm/struct.Mm.html", item);
        write(&folder, "rustdoc/kernel/macro.current.html", "");
        write(&folder, "rustdoc/kernel/mm/fn.f.html", "");
        folder
    }

    #[test]
    fn code_is_linked_to_the_reference() {
        let folder = output("docs-links");
        let items = Items::find(&folder).unwrap();
        let ours = BTreeSet::from([PathBuf::from("mm")]);
        assert_eq!(link_pages(&folder, &items, &ours).unwrap(), 5);
        let page = fs::read_to_string(folder.join("task-mm/guide/a.html")).unwrap();
        let method = "../../rustdoc/kernel/mm/struct.Mm.html#method.mmget_not_zero";
        assert_eq!(page.matches(method).count(), 2, "{page}");
        assert!(page.contains("../../rustdoc/kernel/macro.current.html"));
        let (checked, broken) = check(&folder).unwrap();
        assert_eq!((checked, broken), (6, Vec::new()));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_broken_link_is_found() {
        let folder = output("docs-broken");
        for (to, is_broken) in [
            ("../guide/a.html", false),
            ("a.html#a", false),
            ("a.html#b", true),
            ("b.html", true),
            ("../../rustdoc/kernel/mm/struct.Mm.html#method.mmget", true),
            ("https://kernel.org/", false),
        ] {
            let page = format!("<a href=\"{to}\">x</a>");
            write(&folder, "task-mm/guide/link.html", &page);
            let (_, broken) = check(&folder).unwrap();
            assert_eq!(!broken.is_empty(), is_broken, "{to}: {broken:?}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn escapes_are_decoded() {
        assert_eq!(decoded("a%20b%3Cc%3E"), "a b<c>");
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(plain("&amp;lt; &lt;"), "&lt; <");
        assert_eq!(normal(Path::new("/a/b/../c/./d")), Path::new("/a/c/d"));
    }
}
