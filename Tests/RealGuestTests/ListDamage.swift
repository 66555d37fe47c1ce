// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import VmemmapPopulate

/// A way in which a list can be spoiled, and the names of everything that has to be found then.
struct ListDamage: Sendable {
    let title: String
    /// What is found when this is done to the kernel's list.
    let kernelFindings: Set<String>
    /// What is found when this is done to the mirror.
    let mirrorFindings: Set<String>
    let spoil: @Sendable (DamagedList) throws -> Void

    init(
        _ title: String, kernel: Set<String>, mirror: Set<String>,
        spoil: @escaping @Sendable (DamagedList) throws -> Void
    ) {
        self.title = title
        kernelFindings = kernel
        mirrorFindings = mirror
        self.spoil = spoil
    }

    /// What a list that ends too early lacks.
    private static let kernelCut: Set = [
        "list-coverage-hole", "mirror-extra-entry", "model-extra-entry", "mmu-stale-entry", "hpt-stale-entry",
    ]
    /// Where the walk ends at NULL, the nodes that are cut off are nowhere.
    private static let kernelLoss = kernelCut.union(["list-lost-node"])
    private static let mirrorCut: Set = ["mirror-missing-entry", "mirror-header"]

    static let all = entries + links

    private static let entries = [
        ListDamage(
            "wrong phys: two blocks change places",
            kernel: ["mirror-wrong-phys", "mmu-contradiction", "hpt-wrong-phys", "struct-pages-other-page"],
            mirror: ["mirror-wrong-phys"]
        ) { list in
            try list.setPhys(0, list.nodes[1].phys)
            try list.setPhys(1, list.nodes[0].phys)
        },
        ListDamage(
            "wrong phys: outside memory",
            kernel: ["list-phys-outside-memory", "mirror-wrong-phys", "mmu-contradiction", "hpt-wrong-phys"],
            mirror: ["mirror-wrong-phys"]
        ) { try $0.setPhys(0, 1 << 40) },
        ListDamage(
            "wrong phys: at the end of all addresses",
            kernel: [
                "list-phys-outside-memory", "list-misaligned-phys", "mirror-wrong-phys", "mmu-contradiction",
                "hpt-wrong-phys",
            ],
            mirror: ["mirror-wrong-phys"]
        ) { try $0.setPhys(0, .max) },
        ListDamage(
            "two blocks overlap",
            kernel: [
                "list-overlap", "mirror-wrong-phys", "mmu-contradiction", "hpt-wrong-phys", "struct-pages-other-page",
            ],
            mirror: ["mirror-wrong-phys"]
        ) { try $0.setPhys(0, $0.nodes[1].phys) },
        ListDamage(
            "wrong virt: misaligned",
            kernel: [
                "list-misaligned-virt", "list-coverage-hole", "mirror-missing-entry", "mirror-extra-entry",
                "model-missing-entry", "model-extra-entry", "mmu-contradiction", "mmu-unmapped", "hpt-missing-entry",
                "hpt-stale-entry", "struct-pages-other-page",
            ],
            mirror: ["mirror-missing-entry", "mirror-extra-entry"]
        ) { try $0.setVirt(0, $0.nodes[0].virtAddr + 4096) },
        ListDamage(
            "wrong virt: none of the memory map's",
            kernel: [
                "list-virt-outside-vmemmap", "list-coverage-hole", "mirror-missing-entry", "mirror-extra-entry",
                "model-missing-entry", "model-extra-entry", "mmu-stale-entry", "hpt-missing-entry", "hpt-stale-entry",
            ],
            mirror: ["mirror-missing-entry", "mirror-extra-entry"]
        ) { try $0.setVirt(0, 0) },
        ListDamage(
            "a stale entry",
            kernel: [
                "list-stale-entry", "list-coverage-hole", "mirror-missing-entry", "mirror-extra-entry", "mmu-unmapped",
                "model-missing-entry", "model-extra-entry", "mmu-stale-entry", "hpt-missing-entry", "hpt-stale-entry",
            ],
            mirror: ["mirror-missing-entry", "mirror-extra-entry"]
        ) { try $0.setVirt(0, $0.nodes[0].virtAddr + 1 << 30) },
        ListDamage(
            "an entry twice",
            kernel: [
                "list-duplicate-virt", "report-duplicate-virt", "list-overlap", "list-coverage-hole",
                "mirror-extra-entry", "model-extra-entry", "mmu-stale-entry", "hpt-stale-entry",
            ],
            mirror: ["mirror-duplicate-virt", "mirror-missing-entry"]
        ) { list in
            try list.setVirt(1, list.nodes[0].virtAddr)
            try list.setPhys(1, list.nodes[0].phys)
        },
    ]

    private static let links = [
        ListDamage("a dropped node", kernel: kernelLoss, mirror: mirrorCut) {
            try $0.setLink(1, $0.nodes[3].node)
        },
        ListDamage("a list that ends too early", kernel: kernelLoss, mirror: mirrorCut) { try $0.setLink(3, 0) },
        ListDamage("an empty list", kernel: kernelLoss.union(["list-empty"]), mirror: mirrorCut) { try $0.setHead(0) },
        ListDamage(
            "two nodes in the other order", kernel: ["mirror-order", "model-order"],
            mirror: ["mirror-order", "mirror-header"]
        ) {
            list in
            try list.setHead(list.nodes[1].node)
            try list.setLink(1, list.nodes[0].node)
            try list.setLink(0, list.nodes[2].node)
        },
        ListDamage("a cycle through the head", kernel: ["list-cycle", "report-cycle"], mirror: ["mirror-cycle"]) {
            try $0.setLink($0.nodes.count - 1, $0.nodes[0].node)
        },
        ListDamage("a cycle not through the head", kernel: ["list-cycle", "report-cycle"], mirror: ["mirror-cycle"]) {
            try $0.setLink($0.nodes.count - 1, $0.nodes[2].node)
        },
        ListDamage(
            "a node that links to itself", kernel: kernelCut.union(["list-cycle", "report-cycle"]),
            mirror: mirrorCut.union(["mirror-cycle"])
        ) { try $0.setLink(2, $0.nodes[2].node) },
        ListDamage(
            "a link outside memory",
            kernel: kernelCut.union(["list-link-outside-memory", "report-link-outside-memory"]),
            mirror: mirrorCut.union(["mirror-link-outside-memory"])
        ) { try $0.setLink(2, $0.outside) },
        ListDamage(
            "a misaligned node", kernel: kernelCut.union(["list-misplaced-node", "report-misplaced-node"]),
            mirror: mirrorCut.union(["mirror-misplaced-node"])
        ) { try $0.setLink(2, $0.nodes[3].node + 8) },
        ListDamage(
            "a node across its page's end", kernel: kernelCut.union(["list-misplaced-node", "report-misplaced-node"]),
            mirror: mirrorCut.union(["mirror-misplaced-node"])
        ) { list in
            let page = list.nodes[2].node.alignedDown(to: list.pageByteCount)
            try list.setLink(2, page + list.pageByteCount / VmemmapBacking.byteCount * VmemmapBacking.byteCount)
        },
        ListDamage(
            "a head of garbage", kernel: kernelCut.union(["list-misplaced-node", "report-misplaced-node"]),
            mirror: mirrorCut.union(["mirror-misplaced-node"])
        ) { try $0.setHead(0x5a5a_5a5a_5a5a_5a5a) },
        ListDamage(
            "a head that is no kernel address",
            kernel: kernelCut.union(["list-link-outside-memory", "report-link-outside-memory"]),
            mirror: mirrorCut.union(["mirror-link-outside-memory"])
        ) { try $0.setHead(0x5a5a_0000_0000_0000) },
    ]

    /// Spoils the mirror's header, every word of it; those that the agent writes at each sync and report are right
    /// again when they are read.
    static let header = ListDamage(
        "a header of garbage", kernel: [],
        mirror: ["mirror-header", "mirror-link-outside-memory", "mirror-missing-entry"]
    ) { list in
        for field in SharedRegionLayout.Field.allCases { try list.store(.max << 16, at: field.offset) }
    }

    /// Links the mirror into the event ring, where words can be read that are no node's.
    static let ring = ListDamage(
        "a link into the event ring", kernel: [],
        mirror: mirrorCut.union(["mirror-extra-entry", "mirror-misplaced-node", "mirror-origin"])
    ) { try $0.setLink(2, SharedRegionLayout.ringOffset) }

    /// Links the kernel's list through all of its node page, which holds more nodes than a small guest's memory needs.
    static let length = ListDamage(
        "a list without end", kernel: ["list-too-long"], mirror: []
    ) { list in
        let page = list.nodes[0].node.alignedDown(to: list.pageByteCount)
        let taken = Set(list.nodes.map(\.node))
        var link = list.nodes[0].node
        for index in 0..<list.pageByteCount / VmemmapBacking.byteCount {
            let address = page + index * VmemmapBacking.byteCount
            guard !taken.contains(address) else { continue }
            try list.store(link, at: address)
            link = address
        }
        try list.setHead(link)
    }
}
