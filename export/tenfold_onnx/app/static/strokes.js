// Strokes of a pen: lists of points [x, y] on a board of SIDE × SIDE.

export const SIDE = 280;
const PEN = 20; // width of a line

// A curve through the middles between the points, which are its control points: no corners where the hand made none.
function trace(context, points) {
  context.beginPath();
  context.moveTo(...points[0]);
  for (let index = 1; index < points.length - 1; index += 1) {
    const [x, y] = points[index];
    const [nextX, nextY] = points[index + 1];
    context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
  }
  context.lineTo(...points.at(-1));
  context.stroke();
}

// Paints marks, which are strokes or pictures, dark on light onto a square canvas of any size.
export function paintMarks(canvas, marks) {
  const context = canvas.getContext('2d');
  context.setTransform(canvas.width / SIDE, 0, 0, canvas.height / SIDE, 0, 0);
  context.fillStyle = 'white';
  context.fillRect(0, 0, SIDE, SIDE);
  context.strokeStyle = 'black';
  context.lineWidth = PEN;
  context.lineCap = context.lineJoin = 'round';
  for (const mark of marks) {
    if (Array.isArray(mark)) trace(context, mark);
    else context.drawImage(mark, 0, 0, SIDE, SIDE);
  }
}
