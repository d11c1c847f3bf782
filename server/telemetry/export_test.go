package telemetry

// What the tests need of the inside.

func AppendBody(b Block) ([]byte, error)  { return appendBody(nil, b) }
func ReadBody(body []byte) (Block, error) { return readBody(body) }

func resolutions(rs []float64) dictionary {
	d := dictionary{nil}
	for _, r := range rs {
		d = append(d, &Definition{Signal: "test", Resolution: r})
	}
	return d
}

// DecodeRow reads a row of a device whose series 1, 2 … have the resolutions.
func DecodeRow(data []byte, rs ...float64) ([]Value, error) {
	return decodeRow(data, resolutions(rs))
}

// EncodeRow writes such a row.
func EncodeRow(values []Value, rs ...float64) ([]byte, error) {
	return encodeRow(values, resolutions(rs))
}
