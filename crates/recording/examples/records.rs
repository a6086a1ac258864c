//! Prints the records of a recording, chunk by chunk: `cargo run --example records FILE [--count]`.

use debugop_recording::file::Reader;
use debugop_recording::stream::{Decoder, Record};

#[expect(clippy::print_stdout, reason = "that is what it is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .ok_or("the name of a recording is needed")?;
    let only_count = arguments.next().is_some();
    let reader = Reader::open(path.as_ref())?;
    let codes = reader.codes()?;
    let mut captures = Vec::new();
    let mut names = Vec::new();
    for code in &codes {
        let end = code.site_base as usize + code.captures.len();
        captures.resize(end.max(captures.len()), 0);
        names.resize(end.max(names.len()), (String::new(), 0));
        for (index, &count) in code.captures.iter().enumerate() {
            captures[code.site_base as usize + index] = count;
            names[code.site_base as usize + index] =
                (String::from_utf8_lossy(&code.qualname).into_owned(), index);
        }
    }
    let (mut records, mut values, mut raw, mut stored) = (0_u64, 0_u64, 0, 0);
    let mut record = Record::default();
    for index in 0..reader.stream_len() {
        let chunk = reader.stream(index)?;
        raw += chunk.contents.len();
        stored += chunk.info.stored;
        let (mut decoder, keyframe) = Decoder::new(&chunk.contents, &captures)?;
        if !only_count {
            println!("chunk {index}: {keyframe:#?}");
        }
        while decoder.next(&mut record)? {
            records += 1;
            values += record.values.len() as u64;
            if !only_count {
                let name = record.site.map(|site| &names[site.0 as usize]);
                println!(
                    "{:6} {name:?} frame {:?} {:?} {:?}",
                    record.offset, record.frame, record.prefixes, record.values
                );
                for object in &record.objects {
                    println!("         {object:?}");
                }
            }
        }
    }
    println!(
        "{} code objects, {} chunks, {raw} bytes, stored {stored}, {records} records, {values} values",
        codes.len(),
        reader.stream_len()
    );
    Ok(())
}
