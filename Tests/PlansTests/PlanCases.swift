// SPDX-License-Identifier: Apache-2.0

import Testing

/// Plans that are taken, and plans that are refused, for the reader and the schema alike.
enum PlanCases {
    /// A plan that is refused, with the place and the words of the reader.
    struct Refusal: Sendable, CustomTestStringConvertible {
        let yaml: String
        let message: String
        /// Whether the schema sees it too: it knows nothing of YAML's own forms, and no place from another.
        let isFormal: Bool

        var testDescription: String { message }
    }

    /// A plan around steps.
    static func plan(_ steps: String, guest: String? = nil) -> String {
        "description: d\n" + (guest.map { "guest: \($0)\n" } ?? "") + "steps:\n" + steps + "\n"
    }

    static let accepted = [
        plan("  - verify"), plan("  - verify: {struct-pages: all}\n  - verify: {struct-pages: sample}"),
        plan("  - reboot"), plan("  - \"verify\""), plan("  - plug: 256MiB"),
        plan("  - plug: {size: 1GiB}"), plan("  - plug: {size: 1GiB, node: 0, base: 2GiB, model: dimm}"),
        plan("  - plug: {size: 1GiB, node: 1}", guest: "{numa-nodes: 2, memory: 1GiB}"),
        plan("  - plug: 1GiB\n  - unplug: 1"), plan("  - plug: 1GiB\n  - unplug: last\n  - unplug: 1"),
        plan("  - wait: settled"), plan("  - wait: 600s"), plan("  - guest: release"),
        plan("  - guest: correct-hpt-size"),
        plan("  - guest: {online: 0}"), plan("  - guest: {offline: 1048576}"),
        plan("  - guest: {dlpar: memory remove index 0x80000008}"), plan("  - guest: {probe: 6}"),
        plan("  - guest: {read: /proc/meminfo, contains: \"MemTotal: 5\"}"),
        plan("  - plug: 1GiB\n  - guest: {hold: 1}\n  - guest: {hold: last}"),
        plan("  - guest: {leave-free: 4MiB}\n  - guest: {leave-free: 1TiB}"),
        plan("  - guest: {load: 1MiB}\n  - guest: {load: none}\n  - guest: {load: 1TiB}\n  - verify"),
        plan("  - guest: {load: 256MiB}\n  - reboot\n  - guest: {load: 300MiB}\n  - guest: release"),
        plan("  - repeat: {times: 3, steps: [{guest: {load: 1GiB}}, verify, {guest: {load: none}}]}"),
        plan("  - guest: {load: 1GiB}\n  - crash", guest: "{crash-kernel: 512MiB}"),
        plan("  - verify\n  - expect: {entries: 0, observed: 1, sections: 2, covered: 3}"),
        plan("  - verify\n  - expect: {findings: [list-cycle, plug-refused]}"),
        plan("  - plug: 1GiB\n  - expect: {allowed: [plug-refused, guest-warning]}"),
        plan("  - verify\n  - expect: {unsaid: [model, mirror], entries: 3}"),
        plan("  - verify\n  - expect: {mmu: radix, page-size: 4KiB, vmemmap-page-size: 2MiB, altmap: seen}"),
        plan("  - verify\n  - expect: {unplug: silent}\n  - expect: {entries: 1}"),
        plan("  - plug: 1GiB\n  - unplug: 1\n  - wait: settled\n  - expect: {unplug: removed}"),
        plan("  - repeat: {times: 500, steps: [verify]}"),
        plan("  - repeat: {times: 2, steps: [{repeat: {times: 2, steps: [{repeat: {times: 2, steps: [verify]}}]}}]}"),
        plan("  - repeat: {times: 20, steps: [{plug: 1GiB}, {unplug: last}]}"),
        plan(
            "  - verify",
            guest: "{cpu: POWER10, kernel: /boot/vmlinux, memory: 512MiB, vcpus: 16, slots: 32, append: \"a b=c\"}"),
        plan("  - verify", guest: "{hpt-page-size: 16MiB, maximum-memory: 8TiB, kernel: \"6.1\"}"),
        plan(
            "  - load-crash-kernel\n  - plug: 1GiB\n  - load-crash-kernel\n  - crash\n"
                + "  - expect: {findings: [vmcore-not-in-dump]}",
            guest: "{memory: 2GiB, crash-kernel: 512MiB, hpt-resizing: off}"),
        plan("  - verify", guest: "{hpt-resizing: \"on\", crash-kernel: 4GiB}"),
        plan(
            "  - crash\n  - expect: {entries: 1}\n  - dump: makedumpfile\n  - expect: {dump: complete}\n"
                + "  - dump: makedumpfile-unstable\n  - expect: {dump: cut-off}",
            guest: "{crash-kernel: 512MiB, dump-area: 1MiB}"),
        plan("  - crash: {in-plug: 4GiB}\n  - expect: {unsaid: [model]}", guest: "{crash-kernel: 512MiB}"),
        "#" + String(repeating: "*", count: 80) + "\n# a comment with * and &\n" + plan("  - verify # and one more"),
    ]

    private static func formal(_ yaml: String, _ message: String) -> Refusal {
        Refusal(yaml: yaml, message: message, isFormal: true)
    }

    private static func other(_ yaml: String, _ message: String) -> Refusal {
        Refusal(yaml: yaml, message: message, isFormal: false)
    }

    static let refused = [
        formal(plan("  - verify: {struct-pages: none}"), "3:28: no struct-pages 'none'; there are sample, all"),
        formal("steps: [verify]", "1:1: a plan has no 'description'"),
        formal("description: d", "1:1: a plan has no 'steps'"),
        other(plan("  - dump: makedumpfile"), "3:5: dump has no crash before it"),
        formal(
            plan("  - crash\n  - dump: crash", guest: "{crash-kernel: 512MiB}"),
            "5:11: no dump 'crash'; there are makedumpfile, makedumpfile-unstable"),
        other(
            plan("  - verify", guest: "{dump-area: 3MiB}"),
            "2:20: dump-area 3 MiB is no power of two from 1 MiB to 4 GiB"),
        other(plan("  - verify", guest: "{dump-area: 8GiB}"), "2:20: dump-area 8 GiB is no power of two"),
        other(
            plan("  - crash", guest: "{crash-kernel: 512MiB, dump-area: 1MiB}"),
            "1:1: the guest has 'dump-area', and no step takes a dump"),
        other(
            plan("  - crash\n  - expect: {dump: complete}", guest: "{crash-kernel: 512MiB}"),
            "5:13: expect has dump, and the step before it takes none"),
        formal(
            plan("  - verify\n  - expect: {dump: good}"), "4:20: no dump 'good'; there are complete, cut-off, failed"),
        other(plan("  - crash"), "1:1: load-crash-kernel and crash need 'crash-kernel' of the guest"),
        other(plan("  - load-crash-kernel"), "1:1: load-crash-kernel and crash need 'crash-kernel' of the guest"),
        other(
            plan("  - crash\n  - verify", guest: "{crash-kernel: 512MiB}"),
            "5:5: verify cannot follow crash; only dump and expect can"),
        other(
            plan("  - crash\n  - plug: 1GiB", guest: "{crash-kernel: 512MiB}"), "5:5: plug cannot follow crash"),
        other(
            plan("  - repeat: {times: 2, steps: [crash]}", guest: "{crash-kernel: 512MiB}"), "crash cannot follow crash"
        ),
        other(
            plan("  - verify", guest: "{crash-kernel: 127MiB}"),
            "2:23: crash-kernel 127 MiB is no number of MiB from 128 MiB to 4 GiB"),
        other(plan("  - verify", guest: "{crash-kernel: 5GiB}"), "crash-kernel 5 GiB is no number of MiB"),
        other(
            plan("  - crash: {in-plug: 100MiB}", guest: "{crash-kernel: 512MiB}"),
            "in-plug"),
        formal(plan("  - crash: {plug: 1GiB}", guest: "{crash-kernel: 512MiB}"), "crash has no 'in-plug'"),
        other(
            plan("  - crash: {in-plug: 4GiB}", guest: "{crash-kernel: 512MiB, maximum-memory: 2GiB}"),
            "step 2 plugs 4 GiB as DIMM 1"),
        formal(plan("  - verify", guest: "{hpt-resizing: 1}"), "2:23: hpt-resizing has to be on or off"),
        formal(plan("  - verify", guest: "{hpt-resizing: disabled}"), "2:23: hpt-resizing has to be on or off"),
        formal("description: d\nsteps: []", "2:8: steps has to be a list of at least one element"),
        formal("description: d\nsteps: verify", "2:8: steps has to be a list of at least one element"),
        formal("description: \"\"\nsteps: [verify]", "1:14: description is empty"),
        formal("description: 5\nsteps: [verify]", "1:14: description has to be a text: write \"5\" in quotes"),
        formal("description: yes\nsteps: [verify]", "1:14: description has to be a text: write \"yes\" in quotes"),
        formal("description: [d]\nsteps: [verify]", "1:14: description has to be a text"),
        formal("description: d\nsteps: [verify]\nstep: 1", "3:1: a plan has no key 'step'; there are description,"),
        formal("[verify]", "1:1: a plan has to be keys and values"),
        formal(plan("  - verfy"), "3:5: no step 'verfy'; there are verify, reboot"),
        formal(plan("  - 5"), "3:5: step has to be a text: write \"5\" in quotes"),
        formal(plan("  - [verify]"), "3:5: a step has to be keys and values"),
        formal(plan("  - {}"), "3:5: a step has to have one key; it has 0"),
        formal(plan("  - plug: 1GiB\n    verify: 1"), "3:5: a step has to have one key; it has 2"),
        formal(plan("  - plugg: 1GiB"), "3:5: no step 'plugg'; there are verify, reboot, load-crash-kernel"),
        formal(plan("  - plug: 1GB"), "3:11: plug has to be a size with its unit, such as 512MiB or 1GiB"),
        formal(plan("  - plug: 1073741824"), "3:11: plug has to be a size with its unit"),
        formal(plan("  - plug: 1"), "3:11: plug has to be a size with its unit"),
        formal(plan("  - plug: -1GiB"), "3:11: plug has to be a size with its unit"),
        formal(plan("  - plug: 1 GiB"), "3:11: plug has to be a size with its unit"),
        formal(plan("  - plug: true"), "3:11: plug has to be a size with its unit"),
        formal(plan("  - plug:"), "plug has to be a size with its unit"),
        formal(plan("  - plug: {node: 1}"), "3:11: plug has no 'size'"),
        formal(plan("  - plug: {size: 1GiB, nodes: 1}"), "3:24: plug has no key 'nodes'"),
        formal(plan("  - plug: {size: 1GiB, node: 8}"), "3:30: node 8 is outside 0 to 7"),
        formal(plan("  - plug: {size: 1GiB, node: \"1\"}"), "3:30: node has to be a whole number in decimal digits"),
        formal(plan("  - plug: {size: 1GiB, base: 1073741824}"), "3:30: base has to be a size with its unit"),
        formal(plan("  - plug: {size: 1GiB, model: nvdimm}"), "3:31: nvdimm is not supported: persistent memory"),
        formal(plan("  - plug: {size: 1GiB, model: papr_scm}"), "3:31: papr_scm is not supported"),
        formal(plan("  - plug: {size: 1GiB, model: virtio}"), "3:31: no model 'virtio'; there is dimm"),
        formal(plan("  - unplug: 0"), "3:13: unplug 0 is outside 1 to 1000"),
        formal(plan("  - unplug: first"), "3:13: no unplug 'first'; there are last"),
        formal(plan("  - unplug: 1.5"), "3:13: unplug has to be a whole number in decimal digits; it is '1.5'"),
        formal(plan("  - wait: 5"), "3:11: wait has to be a text: write \"5\" in quotes"),
        formal(plan("  - wait: 5m"), "3:11: wait has to be 'settled', or seconds such as 5s"),
        formal(plan("  - wait: -5s"), "3:11: wait has to be 'settled', or seconds such as 5s"),
        other(plan("  - wait: 0s"), "3:11: wait 0s is outside 1s to 600s"),
        other(plan("  - wait: 601s"), "3:11: wait 601s is outside 1s to 600s"),
        formal(plan("  - guest: reboot"), "3:12: no guest 'reboot'; there are release"),
        formal(plan("  - guest: {offline: -1}"), "3:22: offline has to be a whole number in decimal digits"),
        formal(plan("  - guest: {offline: 1048577}"), "3:22: offline 1048577 is outside 0 to 1048576"),
        formal(plan("  - guest: {offline: 1, online: 2}"), "3:12: guest has to have one key; it has 2"),
        formal(plan("  - guest: {exec: rm}"), "3:13: guest has no key 'exec'; there are online, offline, probe,"),
        formal(plan("  - guest: {dlpar: \"a\\nb\"}"), "3:20: dlpar holds the character U+000A"),
        formal(plan("  - guest: {dlpar: \(String(repeating: "a", count: 513))}"), "3:20: dlpar has 513 bytes; 512 are"),
        formal(plan("  - guest: {read: meminfo}"), "3:19: read has to be an absolute path"),
        formal(plan("  - guest: {contains: a}"), "3:13: guest has no key 'contains'"),
        formal(plan("  - guest: {read: /a, contain: a}"), "3:23: guest has no key 'contain'"),
        formal(plan("  - verify\n  - expect: {}"), "4:13: expect expects nothing"),
        formal(plan("  - verify\n  - expect: {findings: []}"), "4:24: findings has to be a list"),
        formal(plan("  - verify\n  - expect: {findings: list-cycle}"), "4:24: findings has to be a list"),
        formal(plan("  - verify\n  - expect: {unsaid: []}"), "4:22: unsaid has to be a list"),
        formal(
            plan("  - verify\n  - expect: {unsaid: [nobody]}"), "4:23: no witness 'nobody'; there are mirror, kernel"),
        formal(plan("  - verify\n  - expect: {findings: [5]}"), "4:25: finding has to be a text"),
        formal(plan("  - verify\n  - expect: {findings: [List Cycle]}"), "4:25: there is no finding 'List Cycle'"),
        other(plan("  - verify\n  - expect: {findings: [list-cicle]}"), "4:25: there is no finding 'list-cicle'"),
        other(plan("  - verify\n  - expect: {findings: [plan-cycle]}"), "4:25: there is no finding 'plan-cycle'"),
        formal(plan("  - verify\n  - expect: {entries: many}"), "4:23: entries has to be a whole number"),
        formal(plan("  - verify\n  - expect: {page-size: 4096}"), "4:25: page-size has to be a size with its unit"),
        formal(plan("  - verify\n  - expect: {mmu: book3e}"), "4:19: no mmu 'book3e'; there are hash, radix"),
        formal(plan("  - verify\n  - expect: {altmap: true}"), "4:22: altmap has to be a text"),
        formal(plan("  - verify\n  - expect: {entry: 1}"), "4:14: expect has no key 'entry'"),
        formal(plan("  - repeat: {times: 0, steps: [verify]}"), "3:21: times 0 is outside 1 to 500"),
        formal(plan("  - repeat: {times: 501, steps: [verify]}"), "3:21: times 501 is outside 1 to 500"),
        formal(plan("  - repeat: {times: 2}"), "3:13: repeat has no 'steps'"),
        formal(plan("  - repeat: {times: 2, steps: []}"), "3:31: steps of repeat has to be a list"),
        formal(plan("  - repeat: [verify]"), "3:13: repeat has to be keys and values"),
        formal(plan("  - verify", guest: "POWER8"), "2:8: guest has to be keys and values"),
        formal(plan("  - verify", guest: "{cpus: POWER8}"), "2:9: guest has no key 'cpus'; there are cpu, kernel,"),
        formal(plan("  - verify", guest: "{cpu: POWER7}"), "2:14: no cpu 'POWER7'; there are POWER8, POWER9, POWER10"),
        formal(plan("  - verify", guest: "{kernel: 6.1}"), "2:17: kernel has to be a text: write \"6.1\" in quotes"),
        formal(plan("  - verify", guest: "{memory: 1024}"), "2:17: memory has to be a size with its unit"),
        formal(plan("  - verify", guest: "{vcpus: 17}"), "2:16: vcpus 17 is outside 1 to 16"),
        formal(plan("  - verify", guest: "{slots: 33}"), "2:16: slots 33 is outside 1 to 32"),
        formal(plan("  - verify", guest: "{numa-nodes: 9}"), "2:21: numa-nodes 9 is outside 1 to 8"),
        formal(
            plan("  - verify", guest: "{hpt-page-size: 2MiB}"), "2:24: no hpt-page-size 2 MiB; there are 4KiB, 64KiB,"),
        // What takes arithmetic, or more than one place.
        other(plan("  - guest: {leave-free: 4095KiB}"), "3:25: leave-free 4095 KiB is outside 4 MiB to 1 TiB"),
        other(plan("  - guest: {leave-free: 2TiB}"), "3:25: leave-free 2 TiB is outside 4 MiB to 1 TiB"),
        formal(plan("  - guest: {leave-free: 4}"), "3:25: leave-free has to be a size with its unit"),
        other(plan("  - guest: {load: none}"), "3:19: no load is on here that could be ended"),
        other(
            plan("  - guest: {load: 1GiB}\n  - guest: {load: 1GiB}"), "4:19: a load is on here already; 'load: none'"),
        other(plan("  - guest: {load: 1GiB}\n  - reboot\n  - guest: {load: none}"), "5:19: no load is on here"),
        other(plan("  - repeat: {times: 2, steps: [{guest: {load: 1GiB}}]}"), "3:47: a load is on here already"),
        other(plan("  - guest: {load: 1023KiB}"), "3:19: load 1023 KiB is outside 1 MiB to 1 TiB"),
        other(plan("  - guest: {load: 2TiB}"), "3:19: load 2 TiB is outside 1 MiB to 1 TiB"),
        other(plan("  - guest: {load: 99999999999999999999GiB}"), "3:19: load has to be none, or a size with its unit"),
        formal(plan("  - guest: {load: 4}"), "3:19: load has to be none, or a size with its unit, such as 256MiB"),
        formal(plan("  - guest: {load: all}"), "3:19: load has to be none, or a size with its unit"),
        formal(plan("  - guest: {load: [1GiB]}"), "3:19: load has to be none, or a size with its unit"),
        formal(plan("  - guest: load"), "3:12: no guest 'load'; there are release, correct-hpt-size"),
        formal(plan("  - guest: {load: 1GiB, hold: 1}"), "3:12: guest has to have one key; it has 2"),
        other(plan("  - plug: 300MiB"), "3:11: plug 300 MiB is no multiple of 256 MiB"),
        other(plan("  - plug: 0GiB"), "3:11: plug 0 bytes is no multiple of 256 MiB"),
        other(plan("  - plug: 16TiB"), "3:11: plug 16 TiB is more than 8 TiB, the limit here"),
        other(plan("  - plug: 99999999999999999999GiB"), "3:11: plug has to be a size with its unit"),
        other(
            plan("  - plug: 8TiB\n  - plug: 256MiB"),
            "1:1: boot memory and plugs add up to more than 8 TiB, the limit here"),
        other(plan("  - plug: 1GiB\n  - unplug: 2"), "4:13: unplug 2: 1 DIMMs were plugged so far"),
        other(plan("  - unplug: last"), "3:13: no DIMM is plugged here"),
        other(plan("  - guest: {hold: last}"), "3:19: no DIMM is plugged here"),
        other(plan("  - plug: 1GiB\n  - repeat: {times: 2, steps: [{unplug: last}]}"), "4:41: no DIMM is plugged here"),
        other(plan("  - expect: {entries: 1}"), "3:5: expect has no step before it to look at"),
        other(
            plan("  - verify\n  - wait: 5s\n  - expect: {entries: 1}"),
            "5:5: expect has no step before it to look at; a wait for a time is not one"),
        other(
            plan("  - verify\n  - repeat: {times: 2, steps: [expect: {entries: 1}, wait: 5s]}"),
            "4:32: expect has no step before it to look at"),
        other(
            plan("  - repeat: {times: 33, steps: [{plug: 256MiB}]}"), "33 DIMMs are plugged at once; the machine has 32"
        ),
        other(
            plan("  - plug: 1GiB\n  - plug: 1GiB", guest: "{slots: 1}"),
            "2 DIMMs are plugged at once; the machine has 1"),
        other(plan("  - plug: {size: 1GiB, node: 1}"), "a plug names NUMA node 1; the guest has 1"),
        other(plan("  - verify", guest: "{memory: 256MiB}"), "2:17: memory 256 MiB is less than 512 MiB"),
        other(plan("  - verify", guest: "{memory: 768MiB, numa-nodes: 2}"), "memory 768 MiB is not to be shared by 2"),
        other(plan("  - plug: 4GiB", guest: "{maximum-memory: 4GiB}"), "maximum-memory 4 GiB is less than boot memory"),
        other(
            plan("  - plug: {size: 1GiB, base: 4GiB}", guest: "{memory: 1GiB, maximum-memory: 2GiB}"),
            "maximum-memory 2 GiB is less than boot memory and plugs need, which is 5 GiB: step 2 plugs 1 GiB as DIMM 1 "
                + "at 4 GiB, and the largest free piece has 1 GiB, at 1 GiB"),
        other(
            plan(
                "  - plug: 256MiB\n  - plug: 256MiB\n  - plug: 256MiB\n  - unplug: 1\n  - unplug: 3\n  - plug: 512MiB",
                guest: "{memory: 1GiB, maximum-memory: 1792MiB}"),
            "maximum-memory 1792 MiB is less than boot memory and plugs need, which is 2 GiB: step 7 plugs 512 MiB as DIMM "
                + "4, and the largest free piece has 256 MiB, at 1 GiB"),
        other(
            plan(
                "  - plug: {size: 256MiB, base: 1280MiB}\n  - plug: 768MiB",
                guest: "{maximum-memory: 2GiB, memory: 1GiB}"),
            "step 3 plugs 768 MiB as DIMM 2, and the largest free piece has 512 MiB, at 1536 MiB"),
        other(
            plan("  - plug: 1GiB\n  - plug: {size: 1GiB, base: 1GiB}"),
            "DIMM 2 is to lie at 1 GiB, where DIMM 1 lies (from 1 GiB to 2 GiB) when step 3 plugs it"),
        other(
            plan(
                "  - plug: 256MiB\n  - repeat: {times: 2, steps: [{plug: {size: 256MiB, base: 1GiB}}, {unplug: last}]}"),
            "DIMM 2 is to lie at 1 GiB, where DIMM 1 lies (from 1 GiB to 1280 MiB) when step 3 plugs it"),
        other(
            plan("  - plug: {size: 1GiB, base: 1GiB}", guest: "{memory: 4GiB}"),
            "a DIMM is to lie at 1 GiB; plugged memory starts at 4 GiB"),
        other(
            plan("  - plug: {size: 2GiB, base: 3GiB}", guest: "{memory: 4GiB}"),
            "a DIMM is to lie at 3 GiB; plugged memory starts at 4 GiB"),
        other(
            plan("  - plug: {size: 1GiB, base: 512MiB}"), "a DIMM is to lie at 512 MiB; plugged memory starts at 1 GiB"),
        other(
            plan("  - plug: {size: 1GiB, base: 8TiB}", guest: "{memory: 1GiB}"),
            "boot memory and plugs add up to more than 8 TiB"),
        other(
            plan("  - plug: {size: 2GiB, base: 2GiB}\n  - plug: 1GiB\n  - plug: {size: 1GiB, base: 3GiB}"),
            "DIMM 3 is to lie at 3 GiB, where DIMM 1 lies"),
        other(
            plan("  - repeat: {times: 500, steps: [verify, verify, verify]}"), "more than 1000 steps are to be taken"),
        other(
            plan(
                "  - repeat: {times: 1, steps: [{repeat: {times: 1, steps: [{repeat: {times: 1, steps: "
                    + "[{repeat: {times: 1, steps: [verify]}}]}}]}}]}"),
            "repeat is nested deeper than 3 times"),
        // YAML's own forms.
        other("", "1:1: the plan is empty"),
        other("# nothing", "1:1: the plan is empty"),
        other("description: d\ndescription: e\nsteps: [verify]", "the key 'description' stands twice"),
        other("description: d\nsteps: [verify]\n---\ndescription: d\n", "but found another document"),
        other("description: d\nsteps: &s [verify]", "2:8: anchors and aliases are refused"),
        other("description: &d d\nsteps: [*d]", "1:14: anchors and aliases are refused"),
        other("description: d\nsteps: [*none]", "found undefined alias"),
        other("description: d\nsteps: [!!int verify]", "2:9: tags are refused"),
        other("description: d\nsteps: !mine [verify]", "2:8: tags are refused"),
        other("description: d\n\tsteps: [verify]", "2:1: "), other("description: [d", "did not find expected"),
        other("? [a, b]\n: c", "1:3: a key has to be a word"), other("description: \u{0}", "1:1: "),
        other("description: d\nsteps: [0x10]", "2:9: step has to be a text"),
        other(plan("  - unplug: 0x1"), "3:13: unplug has to be a whole number in decimal digits"),
        other(String(repeating: "[", count: 64), "did not find expected"),
        other(
            String(repeating: "[", count: 17) + String(repeating: "]", count: 17), "1:17: nested deeper than 16 levels"),
        other(
            "# one\ndescription: " + String(repeating: "*a ", count: 17),
            "2:1: more than 16 words begin with an asterisk; aliases are refused"),
        other("#" + String(repeating: "a", count: 65536), "1:1: the plan has 65537 bytes; 65536 are the most"),
    ]
}
