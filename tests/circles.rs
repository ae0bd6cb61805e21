//! No files import each other in a circle: whoever reads one file needs only those below it.
//!
//! What a file takes from another is read from its `use` items and paths, also in macros, outside of its tests; a name
//! that a file passes on counts for the file that defines it. What the file of a folder defines belongs to all files in
//! the folder: that they use it is no import.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

use crate::support::workspace::repository;

/// The packages, by where their sources begin.
const ROOTS: [&str; 16] = [
    "src/main.rs",
    "preload/src/lib.rs",
    "collector/src/lib.rs",
    "recv/src/lib.rs",
    "injector/src/lib.rs",
    "crates/analysis/src/lib.rs",
    "crates/arguments/src/lib.rs",
    "crates/capture/src/lib.rs",
    "crates/doctor/src/lib.rs",
    "crates/embedded/src/lib.rs",
    "crates/loki/src/lib.rs",
    "crates/program/src/lib.rs",
    "crates/tui/src/lib.rs",
    "crates/units/src/lib.rs",
    "crates/wire/src/lib.rs",
    "fuzz/src/lib.rs",
];

/// A module's path below its crate.
type Module = Vec<String>;

/// What a file says of itself.
#[derive(Default)]
struct Source {
    file: PathBuf,
    /// Names that it takes from elsewhere, with their paths.
    taken: BTreeMap<String, Vec<String>>,
    /// Modules of which it takes all names.
    globs: Vec<Vec<String>>,
    /// All paths that it names.
    paths: BTreeSet<Vec<String>>,
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_test =
            |list: &syn::MetaList| list.tokens.to_string().split(' ').any(|word| word == "test");
        match &attribute.meta {
            syn::Meta::List(list) => list.path.is_ident("cfg") && is_test(list),
            _ => false,
        }
    })
}

impl Source {
    fn take(&mut self, mut path: Vec<String>, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(rest) => {
                path.push(rest.ident.to_string());
                self.take(path, &rest.tree);
            }
            syn::UseTree::Name(name) => self.take_name(path, &name.ident, &name.ident),
            syn::UseTree::Rename(name) => self.take_name(path, &name.ident, &name.rename),
            syn::UseTree::Glob(_) => self.globs.push(path),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.take(path.clone(), tree);
                }
            }
        }
    }

    fn take_name(&mut self, mut path: Vec<String>, name: &syn::Ident, known_as: &syn::Ident) {
        if name != "self" {
            path.push(name.to_string());
        }
        let known_as =
            if name == "self" { path.last().cloned() } else { Some(known_as.to_string()) };
        self.taken.insert(known_as.unwrap_or_default(), path.clone());
        self.paths.insert(path);
    }
}

impl<'ast> Visit<'ast> for Source {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes: &[syn::Attribute] = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            _ => &[],
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.take(Vec::new(), &item.tree);
    }

    /// Not what may see it.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.paths.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        let text = called.tokens.to_string().replace(" :: ", "::");
        let is_part = |character: char| character.is_alphanumeric() || "_:".contains(character);
        for path in text.split(|character| !is_part(character)).filter(|word| word.contains("::")) {
            self.paths.insert(path.split("::").map(str::to_owned).collect());
        }
        visit::visit_macro(self, called);
    }
}

/// The files of a crate by their modules.
struct Crate(BTreeMap<Module, Source>);

impl Crate {
    fn read(root: &Path) -> Self {
        let mut sources = BTreeMap::new();
        let folder = root.parent().expect("a file is in a folder").to_path_buf();
        read_into(root, &folder, &[], &mut sources);
        Self(sources)
    }

    /// Where the last name of a path comes from, for a file of this module; `None` where it is another crate's.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            _ if depth > 8 => None,
            "crate" => Some(self.descend(Vec::new(), rest, depth)),
            "self" => Some(self.descend(from.clone(), rest, depth)),
            "super" => Some(self.descend(from[..from.len().checked_sub(1)?].to_vec(), rest, depth)),
            name => {
                let child = [from.as_slice(), &[name.to_owned()]].concat();
                if self.0.contains_key(&child) {
                    return Some(self.descend(child, rest, depth));
                }
                let taken = self.0.get(from)?.taken.get(name)?;
                self.resolve(from, &[taken.as_slice(), rest].concat(), depth + 1)
            }
        }
    }

    fn descend(&self, mut module: Module, path: &[String], depth: usize) -> Module {
        let Some((name, rest)) = path.split_first() else { return module };
        if name == "super" {
            module.pop();
            return self.descend(module, rest, depth);
        }
        let child = [module.as_slice(), std::slice::from_ref(name)].concat();
        if self.0.contains_key(&child) {
            return self.descend(child, rest, depth);
        }
        let Some(source) = self.0.get(&module) else { return module };
        if let Some(taken) = source.taken.get(name) {
            let path = [taken.as_slice(), rest].concat();
            if let Some(found) = self.resolve(&module, &path, depth + 1) {
                return found;
            }
        }
        module
    }

    /// The files that each file takes something from, but for those of the folders that it is in.
    fn arrows(&self) -> BTreeMap<&Module, BTreeSet<Module>> {
        let of = |(module, source): (_, &Source)| {
            let paths = source.paths.iter().chain(&source.globs);
            let found = paths.filter_map(|path| self.resolve(module, path, 0));
            (module, found.filter(|found| !module.starts_with(found)).collect())
        };
        self.0.iter().map(of).collect()
    }
}

fn read_into(
    file: &Path,
    folder: &Path,
    module: &[String],
    sources: &mut BTreeMap<Module, Source>,
) {
    let text = std::fs::read_to_string(file)
        .unwrap_or_else(|error| panic!("`{}`: {error}", file.display()));
    let parsed =
        syn::parse_file(&text).unwrap_or_else(|error| panic!("`{}`: {error}", file.display()));
    let mut source = Source { file: file.to_path_buf(), ..Source::default() };
    source.visit_file(&parsed);
    sources.insert(module.to_vec(), source);
    for item in &parsed.items {
        let syn::Item::Mod(item) = item else { continue };
        if item.content.is_some() || is_for_tests(&item.attrs) {
            continue;
        }
        let name = item.ident.to_string();
        // A module of another name, one for each architecture, has no import of ours.
        let path = folder.join(format!("{name}.rs"));
        if path.is_file() {
            read_into(&path, &folder.join(&name), &[module, &[name]].concat(), sources);
        }
    }
}

/// Groups of modules that reach each other.
fn circles(arrows: &BTreeMap<&Module, BTreeSet<Module>>) -> Vec<BTreeSet<Module>> {
    let reached = |from: &Module| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(module) = open.pop() {
            for next in arrows.get(&module).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        seen
    };
    let all: BTreeMap<Module, BTreeSet<Module>> =
        arrows.keys().map(|module| ((*module).clone(), reached(module))).collect();
    let mut found: Vec<BTreeSet<Module>> = Vec::new();
    for (module, reached) in all.iter().filter(|(module, reached)| reached.contains(*module)) {
        let circle: BTreeSet<Module> =
            reached.iter().filter(|other| all[*other].contains(module)).cloned().collect();
        if !found.contains(&circle) {
            found.push(circle);
        }
    }
    found
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut wrong = Vec::new();
    for root in ROOTS {
        let sources = Crate::read(&repository(root));
        let arrows = sources.arrows();
        for circle in circles(&arrows) {
            for module in &circle {
                let file = &sources.0[module].file;
                let within: Vec<String> = arrows[module]
                    .intersection(&circle)
                    .map(|module| sources.0[module].file.display().to_string())
                    .collect();
                wrong.push(format!("`{}` imports `{}`", file.display(), within.join("`, `")));
            }
            wrong.push(String::new());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_circle_is_found() {
    let folder = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    write("lib.rs", "mod a;\nmod b;\nmod c;\npub use a::A;");
    write("a.rs", "pub struct A;\nuse crate::b::{self, B};");
    write("b.rs", "pub struct B;\nfn f() { assert!(crate::c::is()); }");
    write(
        "c.rs",
        "use std::fmt;\n#[cfg(test)]\nmod tests { use crate::b; }\npub fn is() -> bool { true }",
    );
    let files = |circle: &BTreeSet<Module>| {
        circle.iter().map(|module| module.join("/")).collect::<Vec<_>>()
    };
    let found = |folder: &Path| {
        let sources = Crate::read(&folder.join("lib.rs"));
        circles(&sources.arrows()).iter().map(files).collect::<Vec<_>>()
    };
    assert_eq!(found(folder.path()), Vec::<Vec<String>>::new());
    // By a name that the root passes on.
    write("c.rs", "pub fn is() -> bool { let _: crate::A; true }");
    assert_eq!(found(folder.path()), [["a", "b", "c"]]);
}
