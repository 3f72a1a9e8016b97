//! `/nave/v1/places` and `/nave/v1/reservations`.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use nave_core::hub::context::Hub;
use nave_core::hub::error::Result;
use nave_core::hub::http::{Access, Input, Path, Routes, operation};
use nave_core::hub::op::Op;

use crate::api::{
    BookRequest, Booking, BookingChange, CommandRun, FarmPlace, HandOver, PlaceDetail, PowerRequest,
    QueueTurn, Reservation, ReservationChange, ReserveRequest, ReserveSetRequest, SetMaintenance, Waiter,
};
use crate::hub::{Boards, MANAGE, READ, RESERVE, bookings, commands, farm, maintenance, wish};

type Shared = State<Arc<Hub>>;
type Fleet = Extension<Boards>;
type Done = Result<StatusCode>;

pub(super) fn routes(boards: &Boards, routes: Routes) -> Routes {
    let declared = Routes::default()
        .noun("places", "Hardware that can be reserved: who has it, and who waits.", |routes| {
            routes
                .operation(Access::Action(READ), operation!(list))
                .operation(Access::Action(READ), operation!(show))
                .operation(Access::Action(MANAGE), operation!(close))
                .operation(Access::Action(MANAGE), operation!(open))
                .operation(Access::OwnOr(MANAGE), operation!(power))
        })
        .noun("reservations", "Exclusive use of a place, for a time.", |routes| {
            routes
                .operation(Access::Action(READ), operation!(held))
                .operation(Access::Action(READ), operation!(queue))
                .operation(Access::Action(READ), operation!(turn))
                .operation(Access::Action(RESERVE), operation!(reserve))
                .operation(Access::Action(RESERVE), operation!(reserve_set))
                .operation(Access::OwnOr(MANAGE), operation!(extend))
                .operation(Access::OwnOr(MANAGE), operation!(hand_over))
                .operation(Access::OwnOr(MANAGE), operation!(give_back))
        })
        .noun("bookings", "Reservations that begin later.", |routes| {
            routes
                .operation(Access::Action(READ), operation!(booked))
                .operation(Access::Action(RESERVE), operation!(book))
                .operation(Access::OwnOr(MANAGE), operation!(change))
                .operation(Access::OwnOr(MANAGE), operation!(cancel))
        });
    routes.merge(declared.with(Extension(boards.clone())))
}

/// Lists the places.
///
/// Those that are there, and those that are away while somebody has them.
#[utoipa::path(
    get,
    path = "/nave/v1/places",
    responses((status = 200, description = "The places, in the order of their names", body = Vec<FarmPlace>))
)]
async fn list(op: Op, State(hub): Shared, Extension(boards): Fleet) -> Result<Json<Vec<FarmPlace>>> {
    farm::list(&op, &hub, &boards).map(Json)
}

/// Shows a place.
///
/// With who had it before, and which commands its exporter ran for it.
#[utoipa::path(
    get,
    path = "/nave/v1/places/{place}",
    params(("place" = String, Path, description = "Its name.", example = "bench-1")),
    responses((status = 200, description = "The place", body = PlaceDetail))
)]
async fn show(
    op: Op,
    State(hub): Shared,
    Extension(boards): Fleet,
    Path(place): Path<String>,
) -> Result<Json<PlaceDetail>> {
    farm::show(&op, &hub, &boards, &place).await.map(Json)
}

/// Takes a place out of service.
///
/// Whoever has it keeps it, and nobody else is given it.
#[utoipa::path(
    put,
    path = "/nave/v1/places/{place}/maintenance",
    params(("place" = String, Path, description = "Its name.", example = "bench-1")),
    request_body = SetMaintenance,
    responses((status = 204, description = "It is out of service"))
)]
async fn close(
    op: Op,
    State(hub): Shared,
    Extension(boards): Fleet,
    Path(place): Path<String>,
    Input(why): Input<SetMaintenance>,
) -> Done {
    maintenance::close(&op, &hub, &boards, &place, why).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Puts a place into service again.
///
/// Whoever waits for it first has it then.
#[utoipa::path(
    delete,
    path = "/nave/v1/places/{place}/maintenance",
    params(("place" = String, Path, description = "Its name.", example = "bench-1")),
    responses(
        (status = 204, description = "It is in service"),
        (status = 409, description = "It was not out of service")
    )
)]
async fn open(op: Op, State(hub): Shared, Extension(boards): Fleet, Path(place): Path<String>) -> Done {
    maintenance::open(&op, &hub, &boards, &place).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Switches the power of a place.
///
/// For whoever has it, and for whoever may manage places. Its exporter runs the command of the place's description; the
/// answer comes when that has ended, and says whether it did what it should.
#[utoipa::path(
    post,
    path = "/nave/v1/places/{place}/power",
    params(("place" = String, Path, description = "Its name.", example = "bench-1")),
    request_body = PowerRequest,
    responses(
        (status = 200, description = "What came of it", body = CommandRun),
        (status = 404, description = "There is no such place"),
        (status = 409, description = "It has no power control, or another command runs for it")
    )
)]
async fn power(
    op: Op,
    State(hub): Shared,
    Extension(boards): Fleet,
    Path(place): Path<String>,
    Input(request): Input<PowerRequest>,
) -> Result<Json<CommandRun>> {
    commands::power(&op, &hub, &boards, &place, request.command).await.map(Json)
}

/// Lists who has which place.
#[utoipa::path(
    get,
    path = "/nave/v1/reservations",
    responses((status = 200, description = "The reservations, in the order of the places' names", body = Vec<Reservation>))
)]
async fn held(op: Op, State(hub): Shared) -> Result<Json<Vec<Reservation>>> {
    farm::reservations(&op, &hub).map(Json)
}

/// Lists who waits.
///
/// In the order in which they are served. All stand in one queue, whatever they speak.
#[utoipa::path(
    get,
    path = "/nave/v1/reservations/queue",
    responses((status = 200, description = "The queue", body = Vec<Waiter>))
)]
async fn queue(op: Op, State(hub): Shared) -> Result<Json<Vec<Waiter>>> {
    farm::queue(&op, &hub).map(Json)
}

/// Tells one's own turn in the queue.
///
/// The answer is short, however many wait and for how many places.
#[utoipa::path(
    get,
    path = "/nave/v1/reservations/queue/turn",
    responses((status = 200, description = "The turn of whoever asks", body = QueueTurn))
)]
async fn turn(op: Op, State(hub): Shared) -> Result<Json<QueueTurn>> {
    farm::turn(&op, &hub).map(Json)
}

/// Reserves a place.
///
/// One of several, the most common one that is free. Where all are taken the answer comes when one is free, or when the
/// time to wait is over; whoever ends the request leaves the queue. The reservation stands until it is returned, or its
/// time is over.
#[utoipa::path(
    post,
    path = "/nave/v1/reservations",
    request_body = Option<ReserveRequest>,
    responses(
        (status = 200, description = "The reservation", body = Reservation),
        (status = 404, description = "There is no such place"),
        (status = 409, description = "None was free in time, or none would do")
    )
)]
async fn reserve(
    op: Op,
    State(hub): Shared,
    Extension(boards): Fleet,
    Input(request): Input<ReserveRequest>,
) -> Result<Json<Reservation>> {
    wish::reserve(&op, &hub, &boards, request).await.map(Json)
}

/// Reserves several places at once.
///
/// All of them are reserved together, or none: nobody holds some while waiting for others. Whoever waits for several
/// lets those behind take single ones for a while; then what becomes free is kept.
#[utoipa::path(
    post,
    path = "/nave/v1/reservation-sets",
    request_body = ReserveSetRequest,
    responses(
        (status = 200, description = "The reservations, in the order of the wishes", body = Vec<Reservation>),
        (status = 404, description = "There is no such place"),
        (status = 409, description = "They were not free at once in time, or there are not as many")
    )
)]
async fn reserve_set(
    op: Op,
    State(hub): Shared,
    Extension(boards): Fleet,
    Input(request): Input<ReserveSetRequest>,
) -> Result<Json<Vec<Reservation>>> {
    wish::reserve_set(&op, &hub, &boards, request).await.map(Json)
}

/// Says anew until when a place is reserved.
#[utoipa::path(
    patch,
    path = "/nave/v1/reservations/{reservation}",
    params(("reservation" = String, Path, description = "Its id, or the place's name.", example = "bench-1")),
    request_body = ReservationChange,
    responses((status = 200, description = "The reservation", body = Reservation))
)]
async fn extend(
    op: Op,
    State(hub): Shared,
    Path(id): Path<String>,
    Input(change): Input<ReservationChange>,
) -> Result<Json<Reservation>> {
    wish::extend(&op, &hub, &id, change).await.map(Json)
}

/// Hands a reservation over.
///
/// To a person, or to a node. Streams of whoever had it end.
#[utoipa::path(
    post,
    path = "/nave/v1/reservations/{reservation}/hand-over",
    params(("reservation" = String, Path, description = "Its id, or the place's name.", example = "bench-1")),
    request_body = HandOver,
    responses((status = 200, description = "The reservation", body = Reservation))
)]
async fn hand_over(
    op: Op,
    State(hub): Shared,
    Path(id): Path<String>,
    Input(to): Input<HandOver>,
) -> Result<Json<Reservation>> {
    wish::hand_over(&op, &hub, &id, to).await.map(Json)
}

/// Returns a place.
///
/// One's own; whoever may manage places takes away anybody's. Streams to it end. A booking is cancelled by this too.
#[utoipa::path(
    delete,
    path = "/nave/v1/reservations/{reservation}",
    params(("reservation" = String, Path, description = "Its id, or the place's name.", example = "bench-1")),
    responses((status = 204, description = "It was returned"))
)]
async fn give_back(op: Op, State(hub): Shared, Extension(boards): Fleet, Path(id): Path<String>) -> Done {
    wish::give_back(&op, &hub, &boards, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the bookings.
#[utoipa::path(
    get,
    path = "/nave/v1/bookings",
    responses((status = 200, description = "The bookings, in the order in which they begin", body = Vec<Booking>))
)]
async fn booked(op: Op, State(hub): Shared) -> Result<Json<Vec<Booking>>> {
    bookings::list(&op, &hub).map(Json)
}

/// Books a place.
///
/// One of several, which is chosen now and kept free: nobody is given it for longer than until then. When the time has
/// come, the booking becomes a reservation.
#[utoipa::path(
    post,
    path = "/nave/v1/bookings",
    request_body = BookRequest,
    responses(
        (status = 200, description = "The booking", body = Booking),
        (status = 404, description = "There is no such place"),
        (status = 409, description = "None that would do is free for that time")
    )
)]
async fn book(
    op: Op,
    State(hub): Shared,
    Extension(boards): Fleet,
    Input(request): Input<BookRequest>,
) -> Result<Json<Booking>> {
    bookings::book(&op, &hub, &boards, request).await.map(Json)
}

/// Moves a booking.
///
/// To other times, on the same place: one's own; whoever may manage places moves anybody's. Where that cannot be, it stays
/// as it was.
#[utoipa::path(
    patch,
    path = "/nave/v1/bookings/{booking}",
    params(("booking" = String, Path, description = "Its id, or its name.", example = "kernel-tests")),
    request_body = BookingChange,
    responses(
        (status = 200, description = "The booking", body = Booking),
        (status = 409, description = "The place is not free for that time")
    )
)]
async fn change(
    op: Op,
    State(hub): Shared,
    Extension(boards): Fleet,
    Path(id): Path<String>,
    Input(change): Input<BookingChange>,
) -> Result<Json<Booking>> {
    bookings::change(&op, &hub, &boards, &id, change).await.map(Json)
}

/// Cancels a booking.
///
/// One's own; whoever may manage places cancels anybody's. One that has begun is a reservation, which is returned.
#[utoipa::path(
    delete,
    path = "/nave/v1/bookings/{booking}",
    params(("booking" = String, Path, description = "Its id, or its name.", example = "kernel-tests")),
    responses((status = 204, description = "It was cancelled"))
)]
async fn cancel(op: Op, State(hub): Shared, Path(id): Path<String>) -> Done {
    bookings::cancel(&op, &hub, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
