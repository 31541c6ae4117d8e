package secret

import (
	"encoding/base64"
	"fmt"
	"strings"

	"rsc.io/qr"
)

// quiet is the light margin a reader needs, in modules (ISO/IEC 18004 §9.1).
const quiet = 4

// QR draws a QR code for a terminal, two modules a character. Light modules are
// drawn and dark ones left empty, which is right on a dark background; with
// colour, escape codes make it so on any terminal.
func QR(text string, colour bool) (string, error) {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return "", fmt.Errorf("the text does not fit a QR code: %w", err)
	}
	before, after := "", "\n"
	if colour {
		before, after = "\x1b[97;40m", "\x1b[0m\n"
	}
	var b strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		b.WriteString(before)
		for x := -quiet; x < code.Size+quiet; x++ {
			// Black is false, so light, outside of the code. Sizes are odd: the last
			// row's lower half lies outside the margin and stays light.
			switch upper, lower := code.Black(x, y), code.Black(x, y+1); {
			case upper && lower:
				b.WriteByte(' ')
			case upper:
				b.WriteRune('▄')
			case lower:
				b.WriteRune('▀')
			default:
				b.WriteRune('█')
			}
		}
		b.WriteString(after)
	}
	return b.String(), nil
}

// QRImage draws a QR code as a PNG image in a data: URI (RFC 2397), for a page to show.
func QRImage(text string) (string, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fmt.Errorf("the text does not fit a QR code: %w", err)
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(code.PNG()), nil
}
