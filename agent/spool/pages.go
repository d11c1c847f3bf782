package spool

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// The layout of a bbolt file (go.etcd.io/bbolt, internal/common: page.go,
// meta.go, bucket.go; numbers in the machine's byte order). bbolt trusts its
// pages: one that points to itself makes it run for ever and eat all memory, so
// a journal is walked before it is given to bbolt.
const (
	pageHeader    = 16 // id 8, flags 2, count 2, overflow 4
	pageElement   = 16
	bucketHeader  = 16 // root page 8, sequence 8
	metaSize      = 64
	metaMagic     = 0xED0CDAED
	flagBranch    = 0x01
	flagLeaf      = 0x02
	flagFreelist  = 0x10
	leafIsBucket  = 0x01
	noFreelist    = ^uint64(0)
	manyFree      = 0xFFFF // the count stands in the first element then
	smallestPage  = 512
	largestPage   = 64 << 10
	largestExtent = 64 << 20 // bytes of one page with its overflow
)

// walker visits every page of a journal once.
type walker struct {
	file     io.ReaderAt
	pageSize uint64
	end      uint64          // page ids in use are below
	seen     map[uint64]bool // reached from the root
}

// checkPages returns ErrCorrupt when following the file's pages would not end
// well. A file without a valid head passes: bbolt says so itself.
func checkPages(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("journal: look at its pages: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("journal: look at its pages: %w", err)
	}
	w := &walker{file: f, seen: map[uint64]bool{}}
	root, free, found := w.head()
	if !found {
		return nil
	}
	if w.end*w.pageSize > uint64(info.Size()) {
		return fmt.Errorf("journal: %w: it is cut off", ErrCorrupt)
	}
	if err := w.visit(root); err != nil {
		return err
	}
	return w.freelist(free)
}

// head reads the newer of the two valid heads.
func (w *walker) head() (root, free uint64, found bool) {
	var newest uint64
	for _, at := range []int64{0, int64(os.Getpagesize())} {
		b := make([]byte, metaSize)
		if _, err := w.file.ReadAt(b, at+pageHeader); err != nil {
			continue
		}
		word := func(i int) uint64 { return binary.NativeEndian.Uint64(b[i:]) }
		sum := fnv.New64a()
		_, _ = sum.Write(b[:metaSize-8])
		size := uint64(binary.NativeEndian.Uint32(b[8:]))
		if binary.NativeEndian.Uint32(b) != metaMagic || sum.Sum64() != word(56) || size < smallestPage || size > largestPage {
			continue
		}
		if tx := word(48); !found || tx > newest {
			newest, found = tx, true
			w.pageSize, root, free, w.end = size, word(16), word(32), word(40)
		}
	}
	return root, free, found && w.end < 1<<40
}

// page reads a page with its overflow and claims its ids.
func (w *walker) page(id uint64) (raw []byte, flags uint16, count int, err error) {
	wrong := func(what string) error { return fmt.Errorf("journal: %w: page %d %s", ErrCorrupt, id, what) }
	if id < 2 || id >= w.end {
		return nil, 0, 0, wrong("is outside of the file")
	}
	head := make([]byte, pageHeader)
	if _, err := w.file.ReadAt(head, int64(id*w.pageSize)); err != nil {
		return nil, 0, 0, wrong("cannot be read")
	}
	overflow := uint64(binary.NativeEndian.Uint32(head[12:]))
	if binary.NativeEndian.Uint64(head) != id || id+overflow >= w.end || (overflow+1)*w.pageSize > largestExtent {
		return nil, 0, 0, wrong("is not what it says")
	}
	for i := id; i <= id+overflow; i++ {
		if w.seen[i] {
			return nil, 0, 0, wrong("is in two places")
		}
		w.seen[i] = true
	}
	raw = make([]byte, (overflow+1)*w.pageSize)
	if _, err := w.file.ReadAt(raw, int64(id*w.pageSize)); err != nil {
		return nil, 0, 0, wrong("cannot be read")
	}
	return raw, binary.NativeEndian.Uint16(head[8:]), int(binary.NativeEndian.Uint16(head[10:])), nil
}

// visit follows a page of a bucket and everything below it.
func (w *walker) visit(id uint64) error {
	raw, flags, count, err := w.page(id)
	if err != nil {
		return err
	}
	if flags == flagLeaf {
		return w.leaf(raw, count)
	}
	if flags != flagBranch || count == 0 || pageHeader+count*pageElement > len(raw) {
		return fmt.Errorf("journal: %w: page %d is of no kind that belongs here", ErrCorrupt, id)
	}
	for i := range count {
		e := pageHeader + i*pageElement // position 4, key size 4, page 8
		if _, err := span(raw, e, binary.NativeEndian.Uint32(raw[e:]), binary.NativeEndian.Uint32(raw[e+4:]), 0); err != nil {
			return err
		}
		if err := w.visit(binary.NativeEndian.Uint64(raw[e+8:])); err != nil {
			return err
		}
	}
	return nil
}

// leaf looks at keys and values, and follows the buckets among them.
func (w *walker) leaf(raw []byte, count int) error {
	if pageHeader+count*pageElement > len(raw) {
		return fmt.Errorf("journal: %w: a leaf with %d values", ErrCorrupt, count)
	}
	for i := range count {
		e := pageHeader + i*pageElement // flags 4, position 4, key size 4, value size 4
		word := func(n int) uint32 { return binary.NativeEndian.Uint32(raw[e+4*n:]) }
		value, err := span(raw, e, word(1), word(2), word(3))
		switch {
		case err != nil:
			return err
		case word(0)&leafIsBucket == 0:
			continue
		case len(value) < bucketHeader:
			return fmt.Errorf("journal: %w: a bucket of %d bytes", ErrCorrupt, len(value))
		}
		root := binary.NativeEndian.Uint64(value)
		if root != 0 {
			err = w.visit(root)
		} else if inline := value[bucketHeader:]; len(inline) < pageHeader || binary.NativeEndian.Uint16(inline[8:]) != flagLeaf {
			err = fmt.Errorf("journal: %w: a small bucket that is none", ErrCorrupt)
		} else {
			err = w.leaf(inline, int(binary.NativeEndian.Uint16(inline[10:])))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// span returns the value of an element whose key lies at a position after it.
func span(raw []byte, element int, position, key, value uint32) ([]byte, error) {
	from := uint64(element) + uint64(position) + uint64(key)
	if to := from + uint64(value); to <= uint64(len(raw)) {
		return raw[from:to], nil
	}
	return nil, fmt.Errorf("journal: %w: a value outside of its page", ErrCorrupt)
}

// freelist looks whether the pages said to be free are.
func (w *walker) freelist(id uint64) error {
	if id == noFreelist {
		return nil
	}
	raw, flags, count, err := w.page(id)
	if err != nil {
		return err
	}
	ids := raw[pageHeader:]
	n := uint64(count)
	if count == manyFree {
		n, ids = binary.NativeEndian.Uint64(ids), ids[8:]
	}
	if flags != flagFreelist || n > uint64(len(ids)/8) {
		return fmt.Errorf("journal: %w: its list of free pages is none", ErrCorrupt)
	}
	for i := range n {
		free := binary.NativeEndian.Uint64(ids[8*i:])
		if free < 2 || free >= w.end || w.seen[free] {
			return fmt.Errorf("journal: %w: page %d is free and in use", ErrCorrupt, free)
		}
		w.seen[free] = true
	}
	return nil
}
