//! A compiled contract as a flat list of elements, each with its line and its comment.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, OneofDescriptorProto,
    ServiceDescriptorProto,
};

/// Field numbers of `google/protobuf/descriptor.proto`, which source locations are made of.
mod tag {
    pub const FILE_PACKAGE: i32 = 2;
    pub const FILE_MESSAGE: i32 = 4;
    pub const FILE_ENUM: i32 = 5;
    pub const FILE_SERVICE: i32 = 6;
    pub const MESSAGE_FIELD: i32 = 2;
    pub const MESSAGE_NESTED: i32 = 3;
    pub const MESSAGE_ENUM: i32 = 4;
    pub const MESSAGE_ONEOF: i32 = 8;
    pub const ENUM_VALUE: i32 = 2;
    pub const SERVICE_METHOD: i32 = 2;
}

/// What an element is.
#[derive(Clone, Copy)]
pub enum Node<'a> {
    /// The package statement, once a file.
    File,
    Message(&'a DescriptorProto),
    Field(&'a FieldDescriptorProto),
    Oneof(&'a OneofDescriptorProto),
    Enum(&'a EnumDescriptorProto),
    Value(&'a EnumDescriptorProto, &'a EnumValueDescriptorProto),
    Service(&'a ServiceDescriptorProto),
    Rpc(&'a MethodDescriptorProto),
}

/// One element of a contract.
pub struct Element<'a> {
    pub file: &'a FileDescriptorProto,
    pub node: Node<'a>,
    /// The name with those of the elements around it, such as `Comment.text`.
    pub name: String,
    /// The line it starts on, from 1.
    pub line: usize,
    /// The comment above it, or behind it on the same line.
    pub comment: String,
}

/// The files of a contract and all that they import.
pub struct Contract {
    pub set: FileDescriptorSet,
    /// The files below the root, without imports from elsewhere.
    pub own: Vec<String>,
}

/// Compiles every `.proto` file below `root`. The error is the compiler's, with file and line.
pub fn compile(root: &Path) -> Result<Contract, String> {
    let files: Vec<PathBuf> = walkdir::WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .filter_map(Result::ok)
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.extension().is_some_and(|extension| extension == "proto"))
        .collect();
    let mut compiler = protox::Compiler::new([root]).map_err(|error| format!("{error:?}"))?;
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(&files).map_err(|error| format!("{error:?}"))?;
    let own = files
        .iter()
        .map(|path| path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/"))
        // Wire forms that others defined.
        .filter(|path| !path.starts_with("google/"))
        .collect();
    Ok(Contract { set: compiler.file_descriptor_set(), own })
}

impl Contract {
    /// The contract's own files.
    pub fn files(&self) -> impl Iterator<Item = &FileDescriptorProto> {
        self.set.file.iter().filter(|file| self.own.iter().any(|own| own == file.name()))
    }

    /// Every element of its own files.
    pub fn elements(&self) -> Vec<Element<'_>> {
        self.files().flat_map(elements_of).collect()
    }
}

fn elements_of(file: &FileDescriptorProto) -> Vec<Element<'_>> {
    let mut walk = Walk { file, places: places(file), found: Vec::new() };
    walk.add(Node::File, file.package().to_owned(), &[tag::FILE_PACKAGE]);
    for (index, message) in (0..).zip(&file.message_type) {
        walk.message(message, "", &[tag::FILE_MESSAGE, index]);
    }
    for (index, item) in (0..).zip(&file.enum_type) {
        walk.enumeration(item, "", &[tag::FILE_ENUM, index]);
    }
    for (index, service) in (0..).zip(&file.service) {
        let path = [tag::FILE_SERVICE, index];
        walk.add(Node::Service(service), service.name().to_owned(), &path);
        for (index, rpc) in (0..).zip(&service.method) {
            let name = format!("{}.{}", service.name(), rpc.name());
            walk.add(Node::Rpc(rpc), name, &[&path[..], &[tag::SERVICE_METHOD, index]].concat());
        }
    }
    walk.found
}

/// Line and comment of every path in a file.
fn places(file: &FileDescriptorProto) -> HashMap<&[i32], (usize, String)> {
    let locations = file.source_code_info.iter().flat_map(|info| &info.location);
    locations
        .map(|location| {
            let line = location.span.first().map_or(0, |line| line + 1);
            let comment = [location.leading_comments(), location.trailing_comments()].concat();
            (&location.path[..], (usize::try_from(line).unwrap_or(0), comment.trim().to_owned()))
        })
        .collect()
}

struct Walk<'a> {
    file: &'a FileDescriptorProto,
    places: HashMap<&'a [i32], (usize, String)>,
    found: Vec<Element<'a>>,
}

impl<'a> Walk<'a> {
    fn add(&mut self, node: Node<'a>, name: String, path: &[i32]) {
        let (line, comment) = self.places.get(path).cloned().unwrap_or_default();
        self.found.push(Element { file: self.file, node, name, line, comment });
    }

    fn message(&mut self, message: &'a DescriptorProto, outer: &str, path: &[i32]) {
        // A map field compiles to a hidden message, which nobody wrote.
        if message.options.as_ref().is_some_and(|options| options.map_entry()) {
            return;
        }
        let name = format!("{outer}{}", message.name());
        let inner = format!("{name}.");
        let at = |tag, index| [path, &[tag, index]].concat();
        self.add(Node::Message(message), name, path);
        for (index, field) in (0..).zip(&message.field) {
            let name = format!("{inner}{}", field.name());
            self.add(Node::Field(field), name, &at(tag::MESSAGE_FIELD, index));
        }
        for (index, oneof) in (0..).zip(&message.oneof_decl) {
            // An `optional` field compiles to a hidden oneof.
            let hidden = message
                .field
                .iter()
                .any(|field| field.proto3_optional() && field.oneof_index == Some(index));
            if !hidden {
                let name = format!("{inner}{}", oneof.name());
                self.add(Node::Oneof(oneof), name, &at(tag::MESSAGE_ONEOF, index));
            }
        }
        for (index, nested) in (0..).zip(&message.nested_type) {
            self.message(nested, &inner, &at(tag::MESSAGE_NESTED, index));
        }
        for (index, item) in (0..).zip(&message.enum_type) {
            self.enumeration(item, &inner, &at(tag::MESSAGE_ENUM, index));
        }
    }

    fn enumeration(&mut self, item: &'a EnumDescriptorProto, outer: &str, path: &[i32]) {
        self.add(Node::Enum(item), format!("{outer}{}", item.name()), path);
        for (index, value) in (0..).zip(&item.value) {
            let name = format!("{outer}{}.{}", item.name(), value.name());
            let path = [path, &[tag::ENUM_VALUE, index]].concat();
            self.add(Node::Value(item, value), name, &path);
        }
    }
}
