//! Compiles the contract with protox, so that no protoc is needed.

use std::path::PathBuf;
use std::{env, error, fs};

use prost::Message;

fn main() -> Result<(), Box<dyn error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = [
        "proto/replyguard/v1/comment.proto",
        "proto/replyguard/v1/comment_service.proto",
        "proto/replyguard/v1/evaluation.proto",
        "proto/replyguard/v1/explanation.proto",
        "proto/replyguard/v1/model_service.proto",
        "proto/replyguard/v1/privacy.proto",
        "proto/replyguard/v1/review_service.proto",
        "proto/replyguard/v1/moderator_service.proto",
        "proto/replyguard/v1/site_service.proto",
        "proto/replyguard/v1/webhook_service.proto",
    ];
    let descriptors = protox::compile(files, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("replyguard.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().include_file("wire.rs").compile_fds(descriptors)?;
    Ok(())
}
