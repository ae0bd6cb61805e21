//! A datagram: taken apart and put together again it is the same, or it is refused.
#![no_main]

use logtap_wire::frame::{FRAME_HEADER_SIZE, Frame, MAX_PATH};
use logtap_wire::record::{RecordHeader, Records};

libfuzzer_sys::fuzz_target!(|data: &[u8]| logtap_fuzz::bounded(|| run(data)));

fn run(data: &[u8]) {
    if let Some(frame) = Frame::parse(data) {
        assert_eq!(FRAME_HEADER_SIZE + frame.path.len() + frame.payload.len(), data.len());
        assert!(frame.path.len() <= MAX_PATH);
        assert_eq!(frame.payload.len(), frame.record.length as usize);
        let mut again = frame.header().to_vec();
        again.extend_from_slice(frame.path);
        again.extend_from_slice(frame.payload);
        assert_eq!(Frame::parse(&again), Some(frame));
    }
    // The same bytes as a lane.
    let (mut records, mut size) = (0, 0);
    for record in Records::new(data) {
        records += 1;
        let Ok((header, payload)) = record else { continue };
        assert_eq!(header.length as usize, payload.len());
        let words: Vec<u8> = header.to_words().iter().flat_map(|word| word.to_ne_bytes()).collect();
        assert_eq!(RecordHeader::from_bytes(&words), Some(header));
        size += logtap_wire::record::size_of_record(payload.len());
    }
    assert!(size <= data.len() && records <= data.len() / 48 + 1);
}
