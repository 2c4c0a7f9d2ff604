//! Goal: events reach the consumer whole and typed, and what is lost is counted.
//! Method: the pure parts of the events room, fed by hand.

use std::sync::Arc;

use scx_gamer::events::{
    CpuNode, DeviceClass, EventQueue, EventRings, InputConsumer, InputEvent, RING_CNT,
    RING_TABLE_LEN, RecordError, assign_rings, parse_record,
};

fn places(cpu_cnt: u32, node_of: impl Fn(u32) -> u32) -> Vec<CpuNode> {
    (0..cpu_cnt)
        .map(|cpu| CpuNode {
            cpu,
            node: node_of(cpu),
        })
        .collect()
}

/// The rings each node writes.
fn rings_of_node(places: &[CpuNode], node: u32) -> Vec<u8> {
    let table = assign_rings(places);
    let mut rings: Vec<u8> = places
        .iter()
        .filter(|place| place.node == node)
        .map(|place| table[place.cpu as usize])
        .collect();
    rings.sort_unstable();
    rings.dedup();
    rings
}

fn event(time_ns: u64, device_class: DeviceClass) -> InputEvent {
    InputEvent {
        time_ns,
        device_class,
        device_id: 3,
        cpu: 1,
    }
}

fn record_bytes(class: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&0x0102_0304_0506_0708u64.to_ne_bytes());
    bytes.extend_from_slice(&7u32.to_ne_bytes());
    bytes.extend_from_slice(&300u16.to_ne_bytes());
    bytes.extend_from_slice(&[class, 0]);
    bytes
}

#[test]
fn ring_is_cpu_modulo_16_on_one_node() {
    for cpu_cnt in [1, 4, 16, 24, 1024] {
        let table = assign_rings(&places(cpu_cnt, |_| 0));
        for (cpu, ring) in table.iter().enumerate() {
            assert_eq!(usize::from(*ring), cpu % RING_CNT, "CPU {cpu} of {cpu_cnt}");
        }
    }
    assert_eq!(assign_rings(&[]), assign_rings(&places(4, |_| 7)));
}

#[test]
fn no_ring_is_written_from_two_nodes() {
    for node_cnt in 2..=16u32 {
        for (shape, places) in [
            ("blocks", places(128, |cpu| cpu * node_cnt / 128)),
            ("interleaved", places(128, |cpu| cpu % node_cnt)),
            (
                "node numbers with gaps",
                places(128, |cpu| cpu % node_cnt * 3 + 1),
            ),
        ] {
            let table = assign_rings(&places);
            let mut owner = [None; RING_CNT];
            for place in &places {
                let ring = usize::from(table[place.cpu as usize]);
                assert_eq!(
                    *owner[ring].get_or_insert(place.node),
                    place.node,
                    "{node_cnt} nodes, {shape}: ring {ring}"
                );
            }
            assert!(
                owner.iter().all(Option::is_some),
                "{node_cnt} nodes, {shape}"
            );
        }
    }
}

#[test]
fn nodes_divide_the_rings_evenly_and_their_cpus_take_turns() {
    let two = places(32, |cpu| cpu % 2);
    assert_eq!(rings_of_node(&two, 0), (0..8).collect::<Vec<u8>>());
    assert_eq!(rings_of_node(&two, 1), (8..16).collect::<Vec<u8>>());
    let three = places(48, |cpu| cpu / 16);
    let shares: Vec<usize> = (0..3).map(|n| rings_of_node(&three, n).len()).collect();
    assert_eq!(shares, [5, 5, 6]);
    let table = assign_rings(&two);
    for ring in 0..16u8 {
        let cpus = two.iter().filter(|p| table[p.cpu as usize] == ring);
        assert_eq!(cpus.count(), 2, "CPUs of ring {ring}");
    }
}

#[test]
fn more_nodes_than_rings_share_them_evenly() {
    let many = places(96, |cpu| cpu / 4);
    let table = assign_rings(&many);
    let mut nodes_of_ring = [0; RING_CNT];
    for node in 0..24 {
        let rings = rings_of_node(&many, node);
        assert_eq!(rings.len(), 1, "rings of node {node}");
        nodes_of_ring[usize::from(rings[0])] += 1;
    }
    assert!(nodes_of_ring.iter().all(|cnt| (1..=2).contains(cnt)));
    assert!(table.iter().all(|ring| usize::from(*ring) < RING_CNT));
}

#[test]
fn cpus_beyond_the_table_are_ignored() {
    let far = u32::try_from(RING_TABLE_LEN).expect("the table is short");
    let mut list = places(2, |cpu| cpu);
    let table = assign_rings(&list);
    list.push(CpuNode { cpu: far, node: 1 });
    list.push(CpuNode {
        cpu: u32::MAX,
        node: 0,
    });
    assert_eq!(assign_rings(&list), table);
}

#[test]
fn record_is_read_field_by_field() {
    for (number, class) in (0..).zip(DeviceClass::ALL) {
        let expected = InputEvent {
            time_ns: 0x0102_0304_0506_0708,
            device_class: class,
            device_id: 7,
            cpu: 300,
        };
        assert_eq!(parse_record(&record_bytes(number)), Ok(expected));
        assert_eq!(class.index(), usize::from(number));
    }
}

#[test]
fn record_of_any_other_size_is_rejected() {
    for len in (0..64).filter(|len| *len != 16) {
        assert_eq!(
            parse_record(&vec![0; len]),
            Err(RecordError::WrongSize(len))
        );
    }
}

#[test]
fn device_class_out_of_range_is_rejected() {
    for class in 4..=u8::MAX {
        let parsed = parse_record(&record_bytes(class));
        assert_eq!(parsed, Err(RecordError::UnknownClass(class)));
    }
}

#[test]
fn queue_never_exceeds_its_bound_and_counts_what_it_refuses() {
    let queue = EventQueue::new(10);
    for time_ns in 0..25 {
        queue.push(event(time_ns, DeviceClass::Mouse));
        assert!(queue.len() <= 10);
    }
    assert_eq!(queue.overflow_cnt(), 15);
    let oldest_first: Vec<u64> = std::iter::from_fn(|| queue.pop())
        .map(|e| e.time_ns)
        .collect();
    assert_eq!(oldest_first, (0..10).collect::<Vec<u64>>());
    queue.push(event(99, DeviceClass::Mouse));
    assert_eq!((queue.len(), queue.overflow_cnt()), (1, 15));
}

#[test]
fn consumer_totals_match_what_it_was_given() {
    let queue = Arc::new(EventQueue::default());
    let mut consumer = InputConsumer::new(Arc::clone(&queue));
    for (time_ns, class) in [
        (10, DeviceClass::Mouse),
        (30, DeviceClass::Mouse),
        (20, DeviceClass::Keyboard),
    ] {
        queue.push(event(time_ns, class));
    }
    queue.count_malformed();
    let mut seen = Vec::new();
    assert_eq!(consumer.consume(|event| seen.push(event.time_ns)), 3);
    assert_eq!(consumer.consume(|_| panic!("an event came twice")), 0);
    assert_eq!(seen, [10, 30, 20]);
    let totals = consumer.totals();
    assert_eq!(totals.events(), 3);
    assert_eq!(totals.of_class(DeviceClass::Mouse), 2);
    assert_eq!(totals.of_class(DeviceClass::Keyboard), 1);
    assert_eq!(totals.of_class(DeviceClass::Gamepad), 0);
    assert_eq!(
        totals.last_event_ns, 30,
        "the newest, not the latest to come"
    );
    assert_eq!(consumer.lost_cnt(), 1);
}

#[test]
fn rings_without_a_ring_are_refused() {
    let error = EventRings::new(&[], &Arc::default()).expect_err("nothing to read");
    assert_eq!(error.to_string(), "there is no input ring to read");
}
